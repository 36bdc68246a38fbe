"""What a network has learned: embeddings."""

from convnet.explain.embedding import Encoder, embed

__all__ = ["Encoder", "embed"]
