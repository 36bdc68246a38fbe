"""Train one network with several regularizers and compare its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convnet.concepts import Regularization, TrainedWeights, first_layers
from convnet.device import make_compute
from convnet.errors import ModelError, RecipeError
from convnet.layers import Network
from convnet.recipes import build
from convnet.recipes.resolve import choose_recipe
from convnet.training import fit

FIELDS = {
    "l2": "regularizers.l2",
    "l1": "regularizers.l1",
    "max-norm": "regularizers.max_norm",
    "dropout": "model.dropout",
}
"""The recipe's field of each regularizer."""
DEFAULT = ("none", "l2=0.01", "l1=0.002", "max-norm=1", "dropout=0.5")


def regularization(
    data: str = "digits",
    variants: Sequence[str] = DEFAULT,
    *,
    overrides: Mapping[str, Any] | None = None,
) -> Regularization:
    """Train the same network once per regularizer, on the same split and from the same weights.

    Args:
        data: A data set of samples with one class each.
        variants: "none", "l2=0.01", "l1=0.001", "max-norm=1", "dropout=0.5"; "l1=0.001+l2=0.01" for both.
        overrides: Fields of the recipe. Default model: a network with one hidden layer.

    Returns:
        The weights and accuracies.

    Raises:
        RecipeError: A variant cannot be read, or a field does not exist or apply.
        ConvnetError: As for training.
    """
    common = {"model": "mlp", **(overrides or {})}
    fields = [(name, _fields(name)) for name in dict.fromkeys(variants)]
    if not fields:
        raise RecipeError("variants: expected at least one, such as l2=0.01")
    trained = [_trained(name, data, {**common, **values}) for name, values in fields]
    return Regularization(data, str(common["model"]), tuple(trained))


def _fields(text: str) -> dict[str, Any]:
    """The fields of the recipe that a variant sets."""
    found: dict[str, Any] = dict.fromkeys((FIELDS["l2"], FIELDS["l1"]), 0.0)
    if text == "none":
        return found
    for part in text.split("+"):
        name, _, value = part.partition("=")
        try:
            found[FIELDS[name]] = float(value)
        except (KeyError, ValueError):
            known = ", ".join(f"{field}=NUMBER" for field in FIELDS)
            raise RecipeError(f"variant '{text}': expected none, {known}, joined by +") from None
    return found


def _trained(name: str, data: str, overrides: dict[str, Any]) -> TrainedWeights:
    recipe = choose_recipe(data, overrides)
    setup = build(recipe, make_compute("cpu", recipe.precision))
    if not recipe.epochs:
        raise RecipeError(f"{recipe.model.name} is not trained in steps, so that no regularizer applies")
    fit(setup.training, setup.batches, epochs=recipe.epochs)
    network = setup.model.eval()
    scores = [setup.evaluate("train"), setup.evaluate("test") or setup.evaluate("val")]
    accuracies = [0.0 if score is None else score.score or 0.0 for score in scores]
    weights = [p.detach().float().flatten() for p in network.parameters() if p.dim() >= 2]
    return TrainedWeights(name, torch.cat(weights), _images(network), *accuracies)


def _images(network: Network) -> Tensor | None:
    """The weights of the first layer as images, if they are more than single numbers."""
    try:
        found = first_layers({"": network.network}).layers[0].weights
    except ModelError:
        return None
    return found.float() if found.shape[-1] > 1 else None
