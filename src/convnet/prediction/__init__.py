"""From a trained network to predictions: no trainer, no recipes."""

from convnet.prediction.dense import DenseMap
from convnet.prediction.inputs import InputSpec, require_fitting_series
from convnet.prediction.predictor import Predictor

__all__ = ["DenseMap", "InputSpec", "Predictor", "require_fitting_series"]
