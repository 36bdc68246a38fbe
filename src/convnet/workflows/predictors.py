"""Predictors by the word that a user types: a run, or a network with ImageNet weights."""

from __future__ import annotations

from pathlib import Path

from convnet.data import as_path
from convnet.models import MODELS
from convnet.prediction import Predictor
from convnet.recipes.imagenet import imagenet_predictor
from convnet.workflows.run import load_run


def load_predictor(word: str | Path) -> Predictor:
    """The predictor of a finished run, or of a network with its public ImageNet weights.

    Args:
        word: The folder of a run, or the name of a network.

    Returns:
        The predictor.

    Raises:
        RunError: The folder holds no finished run.
        RecipeError: No public weights are known for the network.
        DataError: Its weights cannot be found, downloaded or read.
    """
    if str(word) in MODELS and not as_path(str(word)).exists():
        return imagenet_predictor(str(word))
    return load_run(word).predictor
