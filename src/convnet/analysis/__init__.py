"""What can be said about a network before it is trained: sizes, costs, receptive fields, equivariance."""

from convnet.analysis.equivariance import Equivariance, LayerEquivariance, equivariance
from convnet.analysis.summary import Layer, Summary, summary, unfitting_strides

__all__ = [
    "Equivariance",
    "Layer",
    "LayerEquivariance",
    "Summary",
    "equivariance",
    "summary",
    "unfitting_strides",
]
