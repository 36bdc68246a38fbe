"""Predictors by the word that a user types: a run, or a network with ImageNet weights."""

from __future__ import annotations

from pathlib import Path

from convnet.data import as_path
from convnet.errors import RunError
from convnet.models import MODELS, has_weights
from convnet.prediction import Predictor
from convnet.recipes.imagenet import imagenet_predictor
from convnet.registry import nearest
from convnet.workflows.run import load_run


def load_predictor(word: str | Path) -> Predictor:
    """The predictor of a finished run, or of a network with its public ImageNet weights.

    Args:
        word: The folder of a run, or the name of a network.

    Returns:
        The predictor.

    Raises:
        RunError: The folder holds no finished run, or there is neither such a folder nor such a network.
        RecipeError: No public weights are known for the network.
        DataError: Its weights cannot be found, downloaded or read.
    """
    name, path = str(word), as_path(str(word))
    if path.exists() or path.name != name:
        return load_run(word).predictor
    if name not in MODELS:
        known = nearest(name, filter(has_weights, MODELS))
        raise RunError(f"'{name}' is neither a run nor a network with ImageNet weights{known}")
    return imagenet_predictor(name)
