"""Prediction with a trained network, without the trainer and without recipes."""

from convnet.prediction.dense import DenseMap
from convnet.prediction.files import InputFile
from convnet.prediction.inputs import InputSpec, require_fitting_series
from convnet.prediction.predictor import Predictor

__all__ = ["DenseMap", "InputFile", "InputSpec", "Predictor", "require_fitting_series"]
