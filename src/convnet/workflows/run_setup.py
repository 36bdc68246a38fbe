"""The setup of a run: built from its recipe, and restored from its last checkpoint."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from convnet.device import Compute
from convnet.errors import (
    ConvnetError,
    RunError,
    in_one_line,
)
from convnet.layers import Network
from convnet.models.legacy import with_current_names
from convnet.recipes import Opened, Recipe, TrainingSetup, build
from convnet.recipes.changes import apply_change, changed
from convnet.runs import MetricsLog, RunFolder, load_checkpoint, save_checkpoint
from convnet.training import Training

logger = logging.getLogger(__name__)

RATE_JUMP = 2
"""The factor from which an increase of the learning rate on resuming is reported."""


def set_up(
    folder: RunFolder, recipe: Recipe, data: Opened, compute: Compute, network: Network | None = None
) -> TrainingSetup:
    """Build the setup of a run, at its last checkpoint if it has one; the caller holds the folder's lock.

    Args:
        folder: The run folder.
        recipe: The recipe, perhaps of more epochs than the one in the folder.
        data: The opened and split data.
        compute: Device and precision.
        network: The recipe's network, if it is already built and untrained.

    Raises:
        RunError: The checkpoint or the metrics are damaged, or of another recipe; the folder is unchanged.
    """
    setup = _build(folder, recipe, data, compute, network)
    if folder.checkpoint.exists():
        _restore(setup, folder, identity_of(recipe))
        _require_logged(folder, setup.training.progress.epoch)
        _say_rate(folder, recipe, setup.training)
    return setup


def _build(
    folder: RunFolder, recipe: Recipe, data: Opened, compute: Compute, network: Network | None
) -> TrainingSetup:
    """Build the setup; the state of fitted stages is saved, so that a resumed run does not fit them again."""
    identity = identity_of(recipe)
    if folder.fitted_checkpoint.exists():
        kept = load_checkpoint(folder.fitted_checkpoint)
        _require_same(folder.fitted_checkpoint, kept.get("recipe"), identity)
        setup = build(recipe, compute, data=data, fitted_state=kept["model"])
        return replace(setup, fit_seconds=kept["seconds"], head=kept.get("head"))
    fits = recipe.weights is not None and recipe.weights.finetune is not None
    setup = build(recipe, compute, data=data, network=network, load=fits or not folder.checkpoint.exists())
    if setup.fit_seconds and recipe.epochs:
        content = {"model": setup.model.state_dict(), "seconds": setup.fit_seconds, "recipe": identity}
        save_checkpoint(folder.fitted_checkpoint, {**content, "head": setup.head})
    return setup


def identity_of(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that may not change when a run is resumed; split.csv identifies the data."""
    content = recipe.to_dict()
    del content["name"], content["epochs"], content["minutes"], content["data"]["source"]
    return content


def checkpoint_of(setup: TrainingSetup, checkpoint: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint of the same recipe."""
    content = load_checkpoint(checkpoint)
    _require_same(checkpoint, content.pop("recipe", None), identity)
    return _with_current_names(content, setup.training)


def _restore(setup: TrainingSetup, folder: RunFolder, identity: dict[str, Any]) -> None:
    """Restore the last checkpoint, after the changes that were made before it."""
    checkpoint = folder.checkpoint
    content = checkpoint_of(setup, checkpoint, identity)
    try:
        setup.training.restore_weights(content)
        recipe, step = setup.recipe, setup.training.progress.step
        for change in folder.changes:
            if change.step < step:
                after = changed(recipe, change.field, change.value)
                apply_change(setup, recipe, after, change.step)
                recipe = after
        setup.training.restore(content)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise RunError(f"{checkpoint}: does not fit the run: {in_one_line(error)}") from error


def _with_current_names(content: dict[str, Any], training: Training) -> dict[str, Any]:
    """Rename the tensors of a checkpoint written when layers had other names."""
    content["model"] = with_current_names(content["model"], list(training.model.state_dict()))
    if training.ema is not None:
        averaged = {key.removeprefix("module."): value for key, value in content["ema"].items()}
        names = [key.removeprefix("module.") for key in training.ema.state_dict()]
        renamed = with_current_names(averaged, names)
        content["ema"] = {
            key if key == "n_averaged" else f"module.{key}": value for key, value in renamed.items()
        }
    return content


def _with_current_fields(then: dict[str, Any]) -> dict[str, Any]:
    """The identity of a recipe of an earlier version, with the fields that it did not have yet."""
    try:
        data = {**then["data"], "source": "unknown"}
        return identity_of(Recipe.from_dict({**then, "name": "unknown", "data": data}))
    except (ConvnetError, LookupError, TypeError, ValueError):
        return then


def _require_same(checkpoint: Path, then: dict[str, Any] | None, identity: dict[str, Any]) -> None:
    if then is not None and then != identity:
        then = _with_current_fields(then)
    if then != identity:
        changed = [key for key, value in identity.items() if not then or then.get(key) != value]
        raise RunError(
            f"{checkpoint.parent.parent}: recipe.yaml was changed since the checkpoint "
            f"({', '.join(changed)}); restore it, or train the changed recipe as a new run"
        )


def _require_logged(folder: RunFolder, epochs: int) -> None:
    """Check that the metrics of all epochs before the checkpoint are there."""
    file = folder.file("metrics.csv")
    rows = len(MetricsLog(file).rows)
    if rows < epochs:
        raise RunError(
            f"{file}: damaged: has {rows} epochs, but the checkpoint has {epochs}; restore it, or train a "
            f"new run: convnet train {folder.file('recipe.yaml')}"
        )


def _say_rate(folder: RunFolder, recipe: Recipe, training: Training) -> None:
    """Say that the learning rate jumps, as it does where a schedule ended and follows a new length now."""
    rows = MetricsLog(folder.file("metrics.csv")).rows
    before = rows[-1]["learning_rate"] if rows else None
    step = training.progress.step
    now = training.initial_lr * training.schedule.factor(step) if recipe.epochs else 0.0
    if before and now > RATE_JUMP * before and len(rows) == training.progress.epoch < recipe.epochs:
        logger.info(
            "the learning rate goes up from %.3g to %.3g: schedule %s follows the new length of %s epochs",
            before,
            now,
            recipe.schedule.name,
            recipe.epochs,
        )
