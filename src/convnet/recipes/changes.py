"""Changes of a recipe while it is trained: which fields may change, and how a change takes effect."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from convnet.errors import RecipeError
from convnet.layers import Dropout
from convnet.meta import on_shapes
from convnet.models import build_model
from convnet.recipes.build import TrainingSetup, make_optimizer
from convnet.recipes.network import network_shape
from convnet.recipes.overrides import in_full, override
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest

CHANGEABLE = ("optimizer", "regularizers", "batch_size", "clip_norm")
"""Fields and sections that may change during training, besides the options for dropout of the model."""
_KEEPS_MOMENTS = ("amsgrad", "centered", "momentum")
"""Options of optimizers that decide which moments they keep."""


def changeable_fields(recipe: Recipe) -> list[str]:
    """The dotted names of the fields of a recipe that may change while it is trained."""
    if not recipe.epochs:
        return []
    regularizers = [f"regularizers.{name}" for name in type(recipe.regularizers).model_fields]
    options = [f"optimizer.{name}" for name in recipe.optimizer.options]
    dropouts = [f"model.{name}" for name in recipe.model.options if name.endswith("dropout")]
    return ["optimizer", *options, *regularizers, "batch_size", "clip_norm", *dropouts]


def changed(recipe: Recipe, field: str, value: Any) -> Recipe:
    """The recipe after a change during training.

    Args:
        recipe: The recipe before it.
        field: A name of `changeable_fields`, or its last part.
        value: The new value.

    Raises:
        RecipeError: The field cannot change during training, or the value is invalid.
    """
    full = full_field(recipe, field)
    known = changeable_fields(recipe)
    section = full.partition(".")[0]
    if full not in known and section not in CHANGEABLE:
        raise RecipeError(f"'{field}' cannot be changed during training{nearest(field, known)}")
    return override(recipe, {full: value})


def full_field(recipe: Recipe, field: str) -> str:
    """The dotted name of a field that may be given by its last part."""
    (name,) = in_full(recipe, {field: None})
    return name


def apply_change(setup: TrainingSetup, before: Recipe, after: Recipe, step: int) -> None:
    """Change a training between two steps.

    Args:
        setup: The training; changed in place. Its `recipe` stays what training began with.
        before: Its recipe so far.
        after: Its recipe from now on.
        step: The number of updates before the change; at most those of `setup`.

    Raises:
        RecipeError: The network was built without dropout.
    """
    training = setup.training
    if after.model != before.model:
        _set_dropout(setup, after)
    if after.optimizer != before.optimizer:
        _replace_optimizer(setup, before, after)
    training.regularizers, training.clip_norm = after.regularizers, after.clip_norm
    if after.batch_size != before.batch_size:
        began = training.progress.step - training.progress.step_in_epoch
        setup.batches.resize(after.batch_size, max(0, step - began))
        training.pace = training.pace.changed(step, after.batch_size / setup.recipe.batch_size)


def require_applicable(setup: TrainingSetup, after: Recipe) -> None:
    """Check that a changed recipe can take effect on a training.

    Raises:
        RecipeError: It cannot; the message says what to do.
    """
    if after.model != setup.recipe.model:
        _dropouts(setup, after)


def _replace_optimizer(setup: TrainingSetup, before: Recipe, after: Recipe) -> None:
    """Build the optimizer again; one of the same kind keeps its moments."""
    training, old = setup.training, setup.training.optimizer
    frozen = [p for p in training.model.parameters() if not p.requires_grad]
    held = {id(p) for group in old.param_groups for p in group["params"]}
    for parameter in frozen:
        parameter.requires_grad_(id(parameter) in held)
    new = make_optimizer(after, training.model)
    for parameter in frozen:
        parameter.requires_grad_(False)
    if type(new) is type(old) and _moments(before) == _moments(after):
        new.state = old.state
    training.use_optimizer(new)


def _moments(recipe: Recipe) -> list[bool]:
    return [bool(recipe.optimizer.options.get(name)) for name in _KEEPS_MOMENTS]


def _set_dropout(setup: TrainingSetup, after: Recipe) -> None:
    for module, p in _dropouts(setup, after):
        module.p = p


def _dropouts(setup: TrainingSetup, after: Recipe) -> list[tuple[Dropout | nn.Dropout, float]]:
    """The dropout layers of a training with the probabilities that a changed recipe gives them."""
    shape, outputs = network_shape(after, setup.dataset), setup.task.outputs(setup.dataset)
    with on_shapes(), torch.no_grad():
        planned = build_model(after.model.name, shape, outputs, **after.model.options)
    kinds = (Dropout, nn.Dropout)
    wanted = {name: part.p for name, part in planned.named_modules() if isinstance(part, kinds)}
    found = {name: part for name, part in setup.network.network.named_modules() if isinstance(part, kinds)}
    if wanted.keys() != found.keys():
        raise RecipeError(
            f"{after.model.name} has no dropout layer if its dropout is 0, so it cannot change to or from 0 "
            "during training; train it as a new run"
        )
    return [(found[name], p) for name, p in wanted.items()]
