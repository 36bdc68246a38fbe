"""Seeing inside a network."""

from convnet.explain.embedding import Encoder, embed

__all__ = ["Encoder", "embed"]
