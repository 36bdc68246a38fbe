"""What a network has learned, and how far to trust it."""

from convnet.explain.calibration import UNCALIBRATED, Calibration, calibrate
from convnet.explain.embedding import Encoder, embed
from convnet.explain.unknown import UnknownRule

__all__ = ["UNCALIBRATED", "Calibration", "Encoder", "UnknownRule", "calibrate", "embed"]
