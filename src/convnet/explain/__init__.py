"""What a network has learned, and how far to trust it."""

from convnet.explain.calibration import calibrate
from convnet.explain.embedding import Encoder, embed

__all__ = ["Encoder", "calibrate", "embed"]
