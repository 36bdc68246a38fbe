"""Prediction with a trained network, without the trainer and without recipes.

Names are imported when they are first used: a server that runs ONNX models imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    "Backend": "backend",
    "DenseMap": "dense",
    "InputFile": "files",
    "InputSpec": "inputs",
    "NetworkPredictor": "network_predictor",
    "Predictor": "predictor",
    "require_fitting_series": "series_inputs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convnet.prediction' has no attribute '{name}'")
    return getattr(importlib.import_module(f"convnet.prediction.{_HOMES[name]}"), name)
