"""Checks that the fields of a recipe apply to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from convnet.errors import RecipeError
from convnet.models import MODELS
from convnet.recipes.balance import require_applicable
from convnet.tasks import TASKS
from convnet.training import LOSSES

if TYPE_CHECKING:
    from convnet.recipes.recipe import Recipe

STEPS_ONLY = (
    "augment", "balance", "regularizers", "optimizer", "decay_biases", "schedule", "clip_norm", "ema",
    "early_stopping", "batch_size", "minutes",
)  # fmt: skip
"""Fields that apply only to training in steps."""


def without_steps(recipe: Recipe) -> dict[str, Any]:
    """The fields that leave a recipe without training steps, by name."""
    defaults = {name: _default(recipe, name) for name in STEPS_ONLY}
    plain = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in defaults.items()
    }
    return {"epochs": 0, **plain}


def require_no_steps(recipe: Recipe) -> None:
    """Refuse fields that act on steps if there are none.

    Raises:
        RecipeError: One is set; the message names it.
    """
    for name in STEPS_ONLY:
        if getattr(recipe, name) != _default(recipe, name):
            raise RecipeError(
                f"{name} does not apply: epochs is 0, so there are no training steps; use --epochs 1"
            )


def _default(recipe: Recipe, name: str) -> Any:
    """The default of a field; of a component, with the defaults of its options."""
    default = type(recipe).model_fields[name].default
    if name not in recipe.registries:
        return default
    return type(default)(name=default.name, **recipe.registries[name].options(default.name, {}))


def require_fitting_task(recipe: Recipe) -> None:
    """Check that the network, the loss and the augmentation apply to the task's target.

    Raises:
        RecipeError: One does not; the message says what does.
    """
    target = TASKS.build(recipe.task.name, **recipe.task.options).target
    require_applicable(recipe.balance, target, recipe.loss.name, recipe.loss.options)
    if recipe.loss.name in LOSSES and target.name not in LOSSES.facts(recipe.loss.name):
        fitting = ", ".join(name for name in LOSSES if target.name in LOSSES.facts(name))
        raise RecipeError(
            f"loss '{recipe.loss.name}' is not for task {recipe.task.name}; use one of {fitting}"
        )
    if recipe.model.name in MODELS and target.head not in MODELS.facts(recipe.model.name).targets:
        fitting = ", ".join(
            f"{name} (for series)" if facts.any_length else name
            for name in MODELS
            if target.head in (facts := MODELS.facts(name)).targets and name != "pipeline"
        )
        per = "image" if "class" in MODELS.facts(recipe.model.name).targets else "pixel"
        raise RecipeError(
            f"model '{recipe.model.name}' has one output per {per} and does not fit task "
            f"{recipe.task.name}; use one of {fitting}"
        )
    for name in target.unmixable:
        if getattr(recipe.augment, name) not in (0, "none"):
            raise RecipeError(f"augment.{name} does not apply to task {recipe.task.name}")


def require_fitting_weights(recipe: Recipe) -> None:
    """Check that the way in which weights are fine-tuned fits the task and the number of epochs.

    Raises:
        RecipeError: It does not; the message says what to change.
    """
    weights = recipe.weights
    if weights is None:
        return
    frozen = weights.frozen_epochs(recipe.epochs) if recipe.epochs else 0
    if frozen and frozen >= recipe.epochs:
        raise RecipeError(
            f"weights.freeze_epochs={frozen} leaves nothing to fine-tune in {recipe.epochs} epochs; train "
            f"longer (--epochs {frozen + 1}), or set it to 0"
        )
    if weights.finetune is None:
        return
    target = TASKS.build(recipe.task.name, **recipe.task.options).target
    if target.head != "class" or target.dense:
        raise RecipeError(
            f"weights.finetune={weights.finetune} does not apply to task {recipe.task.name}, only to "
            "classification and multi-label; use --set weights.finetune=null"
        )
    if weights.finetune == "head" and recipe.epochs:
        raise RecipeError(
            f"weights.finetune=head fits only the head and takes no steps, but epochs is {recipe.epochs}; "
            "use --epochs 0, or --set weights.finetune=full"
        )
    if weights.finetune == "full" and not recipe.epochs:
        raise RecipeError(
            "weights.finetune=full needs steps, but epochs is 0; use --epochs 10, or --set "
            "weights.finetune=head"
        )
