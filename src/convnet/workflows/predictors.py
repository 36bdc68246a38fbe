"""Predictors by the word that a user types: a run, or a network with ImageNet weights."""

from __future__ import annotations

from pathlib import Path

from convnet.data import as_path
from convnet.errors import ModelError, RunError
from convnet.export import is_bundle, load_bundle
from convnet.models import MODELS, has_weights
from convnet.prediction import NetworkPredictor, Predictor
from convnet.recipes.imagenet import imagenet_predictor
from convnet.registry import nearest
from convnet.workflows.run import load_run


def load_predictor(word: str | Path, *, backend: str | None = None, precision: str = "fp32") -> Predictor:
    """The predictor of a bundle, of a finished run, or of a network with its public ImageNet weights.

    Args:
        word: The folder of a bundle or a run, or the name of a network.
        backend: The backend of a bundle; see `convnet.load_bundle`.
        precision: "fp32" or "int8", for a bundle.

    Returns:
        The predictor; of a bundle, with the fastest backend.

    Raises:
        RunError: The folder holds no finished run, or there is neither such a folder nor such a network.
        ModelError: The bundle is damaged, or the backend cannot be used.
        RecipeError: No public weights are known for the network.
        DataError: Its weights cannot be found, downloaded or read.
    """
    if is_bundle(as_path(str(word))):
        return load_bundle(word, backend=backend, precision=precision).predictor
    if backend is not None or precision != "fp32":
        raise ModelError(f"{word}: is not a bundle; --backend and --precision apply to bundles")
    return load_network_predictor(word)


def load_network_predictor(word: str | Path) -> NetworkPredictor:
    """As `load_predictor`, with the network as a torch module, which can be looked into.

    Args:
        word: The folder of a bundle or a run, or the name of a network.

    Returns:
        The predictor.

    Raises:
        RunError: The folder holds no finished run, or there is neither such a folder nor such a network.
        RecipeError: No public weights are known for the network.
        DataError: Its weights cannot be found, downloaded or read.
    """
    name, path = str(word), as_path(str(word))
    if is_bundle(path):
        return load_bundle(path).network_predictor
    if path.exists() or path.name != name:
        return load_run(word).predictor
    if name not in MODELS:
        known = nearest(name, filter(has_weights, MODELS))
        raise RunError(f"'{name}' is neither a run, a bundle nor a network with ImageNet weights{known}")
    return imagenet_predictor(name)
