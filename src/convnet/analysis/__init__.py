"""What can be said about a network before it is trained: sizes, costs, receptive fields, equivariance."""

from convnet.analysis.summary import Layer, Summary, summary

__all__ = ["Layer", "Summary", "summary"]
