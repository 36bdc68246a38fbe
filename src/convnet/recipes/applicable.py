"""Checks that the fields of a recipe apply to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from convnet.errors import RecipeError
from convnet.models import MODELS
from convnet.recipes.balance import require_applicable
from convnet.recipes.weights import Weights
from convnet.tasks import TASKS
from convnet.training import LOSSES

if TYPE_CHECKING:
    from convnet.recipes.components import Component
    from convnet.recipes.recipe import Recipe

STEPS_ONLY = (
    "augment", "balance", "regularizers", "optimizer", "decay_biases", "schedule", "clip_norm", "ema",
    "early_stopping", "batch_size", "minutes",
)  # fmt: skip
"""Fields that apply only to training in steps."""
ALSO_OF_HEADS = ("balance", "minutes")
"""Those that apply to fitting a head as well."""
STEPS_OF_WEIGHTS = ("freeze_epochs", "last_parts", "rate_decay", "freeze_norms")
"""Fields of `weights` that apply only to training in steps."""


def head_only(recipe: Recipe) -> dict[str, Any]:
    """The fields that leave a recipe with pretrained weights only its head to fit, by name."""
    changes: dict[str, Any] = {"epochs": 0, "weights.finetune": "head", "loss": _usual_loss(recipe)}
    if recipe.balance == "focal":
        changes["balance"] = "weights"
    for name in STEPS_ONLY:
        if name not in ALSO_OF_HEADS:
            changes[name] = _default(recipe, name)
    changes = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in changes.items()}
    for name in STEPS_OF_WEIGHTS:
        changes[f"weights.{name}"] = Weights.model_fields[name].default
    return changes


def acts_on_steps(field: str, value: Any) -> bool:
    """Whether a field, by its full name, acts on training in steps and not on fitting a head."""
    section, _, name = field.partition(".")
    if section == "weights":
        return name in STEPS_OF_WEIGHTS
    if section in ALSO_OF_HEADS:
        return field == "balance" and value == "focal"
    return section in ("epochs", "loss", *STEPS_ONLY) or field == "model.dropout"


def step_field_that_differs(recipe: Recipe, other: Recipe) -> str | None:
    """The first field that acts on training in steps, but not on heads, in which two recipes differ."""
    found = [
        name
        for name in ("epochs", "loss", *STEPS_ONLY)
        if getattr(recipe, name) != getattr(other, name) and acts_on_steps(name, getattr(recipe, name))
    ]
    ours, theirs = recipe.weights, other.weights
    for name in STEPS_OF_WEIGHTS:
        if getattr(ours, name, None) != getattr(theirs, name, None):
            found.append(f"weights.{name}")
    return found[0] if found else None


def require_no_steps(recipe: Recipe) -> None:
    """Refuse fields that act on steps if there are none.

    Raises:
        RecipeError: One is set; the message names it.
    """
    head = recipe.weights is not None and recipe.weights.finetune == "head"
    for name in STEPS_ONLY:
        if getattr(recipe, name) == _default(recipe, name) or (head and name in ALSO_OF_HEADS):
            continue
        if head:
            raise _not_of_heads(name)
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
    frozen = weights.freeze_epochs
    if frozen and 0 < recipe.epochs <= frozen and recipe.minutes is None:
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
    if weights.finetune == "head":
        _require_head_fields(recipe, weights)
    if weights.finetune == "full" and not recipe.epochs:
        raise RecipeError(
            "weights.finetune=full needs steps, but epochs is 0; use --epochs 10, or --set "
            "weights.finetune=head"
        )


def _require_head_fields(recipe: Recipe, weights: Weights) -> None:
    """Refuse what acts on steps only, or has no counterpart in logistic regression."""
    for name in STEPS_OF_WEIGHTS:
        if getattr(weights, name) not in (Weights.model_fields[name].default, "auto"):
            raise _not_of_heads(f"weights.{name}")
    if recipe.balance == "focal":
        raise RecipeError("balance=focal does not apply to weights.finetune=head; use --balance weights")
    if recipe.loss != _usual_loss(recipe):
        raise _not_of_heads("loss")


def _usual_loss(recipe: Recipe) -> Component:
    """The loss of the task with its default options."""
    usual = TASKS.build(recipe.task.name, **recipe.task.options).loss
    return type(recipe.loss)(name=usual, **LOSSES.options(usual, {}))


def _not_of_heads(name: str) -> RecipeError:
    return RecipeError(
        f"{name} does not apply: weights.finetune=head fits only the head, by logistic regression; use --set "
        "weights.finetune=full --epochs 10"
    )
