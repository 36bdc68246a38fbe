"""Objects of users in place of names: networks, losses, metrics, augmentations, optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convnet.data.batches.augment.augment import AUGMENTATIONS
from convnet.models import MODELS
from convnet.registry import Registry
from convnet.tasks.own_metrics import METRICS
from convnet.training import LOSSES, OPTIMIZERS

COMPONENTS: dict[str, Registry[Any, Any]] = {"model": MODELS, "loss": LOSSES, "optimizer": OPTIMIZERS}


def adopt_objects(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the objects among the fields of a recipe by names.

    Args:
        fields: Fields of a recipe. `model` may be a network, or a function or class that makes one; `loss` a
            function of outputs and targets; `optimizer` a class or function of parameters; `metrics`
            functions of outputs and targets by name; `augment` a function of a batch. Where options follow,
            the object is the "name": `{"name": torch.optim.SGD, "lr": 0.1}`.

    Returns:
        The same fields; objects are named `package.module:name`, as far as they can be imported.

    Raises:
        RecipeError: An object cannot be called.
    """
    return {key: adopt_object(key, value) for key, value in fields.items()}


def adopt_object(field: str, value: Any) -> Any:
    """Replace the object that stands for a field by its name; other values are returned as they are."""
    if field in COMPONENTS:
        if isinstance(value, Mapping) and callable(value.get("name")):
            return {**value, "name": COMPONENTS[field].adopt(value["name"])}
        return {"name": COMPONENTS[field].adopt(value)} if callable(value) else value
    if field == "metrics" and isinstance(value, Mapping):
        return {name: METRICS.adopt(f) if callable(f) else f for name, f in value.items()}
    if field == "augment":
        if isinstance(value, Mapping) and callable(value.get("custom")):
            return {**value, "custom": AUGMENTATIONS.adopt(value["custom"])}
        return {"custom": AUGMENTATIONS.adopt(value)} if callable(value) else value
    return value
