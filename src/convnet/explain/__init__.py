"""Seeing inside a network."""

from convnet.explain.embedding import embed

__all__ = ["embed"]
