"""Prediction with a trained network, without the trainer and without recipes.

Names are imported when they are first used: a server that runs ONNX models imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convnet.lazy import lazy_names

if TYPE_CHECKING:
    from convnet.prediction.backend import Backend
    from convnet.prediction.dense import DenseMap
    from convnet.prediction.files import InputFile
    from convnet.prediction.inputs import InputSpec
    from convnet.prediction.network_predictor import NetworkPredictor
    from convnet.prediction.predictor import Predictor
    from convnet.prediction.series_inputs import require_fitting_series

__all__ = [
    "Backend",
    "DenseMap",
    "InputFile",
    "InputSpec",
    "NetworkPredictor",
    "Predictor",
    "require_fitting_series",
]

_HOMES = {
    "Backend": "convnet.prediction.backend",
    "DenseMap": "convnet.prediction.dense",
    "InputFile": "convnet.prediction.files",
    "InputSpec": "convnet.prediction.inputs",
    "NetworkPredictor": "convnet.prediction.network_predictor",
    "Predictor": "convnet.prediction.predictor",
    "require_fitting_series": "convnet.prediction.series_inputs",
}

__getattr__ = lazy_names(__name__, _HOMES)
