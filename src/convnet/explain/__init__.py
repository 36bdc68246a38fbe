"""What a network has learned: embeddings."""

from convnet.explain.embedding import Encoder, embed, encoder_of

__all__ = ["Encoder", "embed", "encoder_of"]
