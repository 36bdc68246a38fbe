"""Analysis of networks without training: layer tables, receptive fields, equivariance."""

from convnet.analysis.equivariance import Equivariance, LayerEquivariance, equivariance
from convnet.analysis.summary import Summary, summary, unfitting_strides
from convnet.analysis.table import Layer, LayerTable

__all__ = [
    "Equivariance",
    "Layer",
    "LayerEquivariance",
    "LayerTable",
    "Summary",
    "equivariance",
    "summary",
    "unfitting_strides",
]
