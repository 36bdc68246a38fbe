"""The fields of a recipe that follow from pretrained weights: model options, preprocessing, stages."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from convnet.data import as_path
from convnet.device import default_device
from convnet.models import MODELS, has_weights, named_model, public_weights, transfer_options
from convnet.recipes.applicable import acts_on_steps, head_only
from convnet.recipes.defaults import TRANSFER
from convnet.recipes.load import recipe_of
from convnet.recipes.network import encoder_of
from convnet.recipes.pretrained import is_local
from convnet.recipes.recipe import Recipe
from convnet.runs import RunFolder
from convnet.settings import settings

logger = logging.getLogger(__name__)

STEPS = {f"weights.{name}": value for name, value in TRANSFER["weights"].items() if name != "source"} | {
    name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    for name, value in TRANSFER.items()
    if name != "weights"
}
"""The fields with which a network is trained after its head was fitted."""


def with_weights(recipe: Recipe, changes: dict[str, Any], *, own_model: bool) -> dict[str, Any]:
    """The overrides, with the fields that follow from pretrained weights.

    Args:
        recipe: The recipe.
        changes: The overrides, by full names.
        own_model: Whether the model of the recipe was chosen for its data.
    """
    weights, asked = recipe.weights, [field for field in changes if acts_on_steps(field, changes[field])]
    encoder = component_named(changes, "model.encoder", "encoder")
    model = component_named(changes, "model", "model.name")
    source = changes.get("weights.source")
    unset = source is None and changes.get("weights", "") is not None
    public = weights is not None and weights.source == "imagenet"
    run = _run_at(source) if isinstance(source, str) else None
    if source is not None and weights is not None and source != weights.source:
        changes = {"weights.sha256": None} | changes
    if encoder is not None and unset and has_weights(encoder):
        changes = {"weights.source": "imagenet", "weights.freeze_norms": "auto"} | changes
    elif encoder is not None and source is not None:
        own = {} if run is None else run.preprocess.model_dump(include={"channels", "normalize"})
        fields = {f"preprocess.{field}": value for field, value in own.items()}
        changes = {"weights.freeze_norms": "auto", **fields} | changes
    elif model is not None and public and (unset or source == "imagenet") and encoder_of(recipe) is None:
        changes = _of_another_model(recipe, model, must=not unset) | changes
    elif run is not None and run.task == recipe.task:
        changes = _of_run(run, own_model=own_model and model is None) | changes
    if changes.get("weights.source") == "imagenet" and not public:
        encoder = encoder or encoder_of(recipe)
        changes = _as_published(encoder or model or recipe.model.name, encoder) | changes
    if changes.get("preprocess.resize", recipe.preprocess.resize) != "crop":
        changes = {"preprocess.crop_pct": 1.0} | changes
    return _stages(recipe, changes, asked)


def _stages(recipe: Recipe, changes: dict[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    """The overrides, with the fields that train only the head of a pretrained network, or all of it.

    Args:
        recipe: The recipe.
        changes: The overrides.
        asked: The fields among them that act on training in steps, also those set to their defaults.
    """
    weights = recipe.weights
    if weights is None or changes.get("weights", "") is None:
        return _head(recipe, changes) if changes.get("weights.finetune") == "head" else changes
    finetune = changes.get("weights.finetune", weights.finetune)
    if finetune == "head" != weights.finetune or (finetune == "auto" and changes.get("epochs") == 0):
        return _head(recipe, changes)
    longer = changes.get("epochs") and "weights.finetune" not in changes
    if weights.finetune == "head" and (finetune != "head" or longer):
        return STEPS | {"weights.finetune": "full"} | changes
    if finetune == "auto" and asked:
        if asked[0] != "epochs" and (settings().device or default_device()) == "cpu":
            logger.info(
                "the whole network is trained, because %s is set; --set weights.finetune=head trains only "
                "the head",
                asked[0],
            )
        return changes | {"weights.finetune": "full"}
    return changes


def _head(recipe: Recipe, changes: dict[str, Any]) -> dict[str, Any]:
    """The overrides, with the fields that train only the head; a new task brings its own loss."""
    fields = head_only(recipe)
    if {"task", "task.name"} & changes.keys():
        del fields["loss"]
    return fields | changes | {"weights.finetune": "head"}


def component_named(changes: Mapping[str, Any], *fields: str) -> str | None:
    """The name in the first of some fields that is overridden; None if there is none."""
    value = next((changes[field] for field in fields if field in changes), None)
    value = value.get("name") if isinstance(value, Mapping) else value
    return value if isinstance(value, str) else None


def _of_another_model(recipe: Recipe, model: str, *, must: bool) -> dict[str, Any]:
    """The fields that change with the model of a recipe with public weights; none if it is the same model.

    Args:
        recipe: The recipe.
        model: The other model.
        must: Whether the other model must have public weights.
    """
    name = MODELS.canonical(named_model(model)["name"])
    if name == recipe.model.name:
        return {}
    if not must and not has_weights(name):
        logger.info("%s starts from random weights, because no ImageNet weights of it are known", name)
        return {"weights": None, "preprocess.normalize": "channel"}
    fields = public_weights(name).input.fields(whole=True)
    return {"weights.sha256": None, **_transfer_options(name), **fields}


def _run_at(source: str) -> Recipe | None:
    """The recipe of the run that is the source of weights; None for another source."""
    if not is_local(source) or not (as_path(source) / "run.json").exists():
        return None
    return recipe_of(RunFolder.open(as_path(source)))


def _of_run(run: Recipe, *, own_model: bool) -> dict[str, Any]:
    """The preparation of images that the weights of a run need, and its model if none was named."""
    fields = run.preprocess.model_dump(mode="json", exclude={"white"})
    changes = {f"preprocess.{field}": value for field, value in fields.items()}
    return {**changes, "model": run.model.model_dump()} if own_model else changes


def _as_published(model: str, encoder: str | None) -> dict[str, Any]:
    """The model options, channels and normalization that public weights require."""
    name = named_model(model)["name"]
    pixels = {"preprocess.normalize": public_weights(name).input.normalize, "preprocess.channels": 3}
    return pixels if encoder is not None else {**_transfer_options(name), **pixels}


def _transfer_options(name: str) -> dict[str, Any]:
    return {f"model.{option}": value for option, value in transfer_options(name).items()}
