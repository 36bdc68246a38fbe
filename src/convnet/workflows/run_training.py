"""The inside of a run: from the setup through the loop to the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convnet.device import Compute
from convnet.errors import (
    ConvnetError,
    DivergedError,
    InterruptedRunError,
    RecipeError,
    RunError,
    in_one_line,
)
from convnet.layers import Network
from convnet.models.legacy import with_current_names
from convnet.recipes import Opened, Recipe, TrainingSetup, build, override
from convnet.recipes.applicable import head_only
from convnet.recipes.build import with_epochs
from convnet.recipes.changes import apply_change, changed
from convnet.runs import MetricsLog, RunFolder, load_checkpoint, save_checkpoint
from convnet.tasks import Evaluation
from convnet.training import Listener, StopTraining, Training, TrainingStart, fit, notify
from convnet.workflows.control import Control
from convnet.workflows.controlled_batches import ControlledBatches
from convnet.workflows.recorder import Recorder
from convnet.workflows.results import write_results
from convnet.workflows.run import Run
from convnet.workflows.time_limit import TimeLimit, epochs_within, seconds_for_results

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
        _restore(setup, folder, _identity(recipe))
        _require_logged(folder, setup.training.progress.epoch)
        _say_rate(folder, recipe, setup.training)
    return setup


def run_training(
    folder: RunFolder,
    setup: TrainingSetup,
    *,
    listeners: Sequence[Listener],
    control: Control | None = None,
    spent: float = 0.0,
) -> Run:
    """Train from where the setup is to the end; the caller holds the folder's lock.

    Args:
        folder: The run folder.
        setup: Its setup.
        listeners: Callables that receive every event.
        control: Receives what the user asks for.
        spent: The seconds of the recipe's time limit that are spent.

    Returns:
        The finished run.

    Raises:
        DivergedError: The loss became NaN or infinite.
        InterruptedRunError: The user stopped training; the run can be resumed.
    """
    if setup.recipe.minutes is not None and setup.recipe.epochs:
        setup, limit = _within_time(folder, setup, 60 * setup.recipe.minutes - spent)
        listeners = [*listeners, *limit]
    recipe = setup.recipe
    identity = _identity(recipe)
    stopped = False
    batches = ControlledBatches(folder, setup, control or Control())
    control = batches.control
    try:
        notify(listeners, TrainingStart(setup, folder=folder.path))
    except StopTraining:
        stopped = True
    stopping = recipe.early_stopping
    with control.stopped_by_signals():
        score = setup.task.score.key
        recorder = Recorder(folder, setup.training, score, list(recipe.metrics), stopping, control, identity)
        rows = recorder.metrics.rows
        early = stopping is not None and rows and recorder.epochs_since_best() >= stopping.patience
        try:
            if recipe.epochs and not early and not stopped:
                _fit(setup, batches, [*listeners, recorder])
        except DivergedError as error:
            raise DivergedError(f"{error}; {_way_out(folder)}") from None
        finally:
            recorder.steps.close()
        shortened = control.finishing or recipe.minutes is not None
        if recipe.epochs and not rows and setup.head is None and not shortened:
            raise InterruptedRunError(f"{folder.path}: stopped before the end of the first epoch")
        if recipe.epochs and _head_is_better(setup, recorder):
            _take_head(setup, folder)
        elif stopping is not None and rows:
            setup.training.restore_weights(_checkpoint(setup, folder.best_checkpoint, identity))
        write_results(folder, setup, rows)
    if not folder.environment.get("keep_checkpoints", True):
        folder.remove_checkpoints()
    return Run(folder)


def _within_time(
    folder: RunFolder, setup: TrainingSetup, left: float
) -> tuple[TrainingSetup, Sequence[Listener]]:
    """The setup with as many epochs as fit into the time, and the listener that ends training in time."""
    left -= seconds_for_results(setup)
    if not setup.training.progress.step:
        recipe = setup.recipe
        began = time.perf_counter()
        epochs = epochs_within(setup, left)
        left -= time.perf_counter() - began
        if not epochs and setup.head is not None:
            logger.info("only the head is trained, because an epoch of the whole network takes too long")
            changes = head_only(recipe)
            folder.fitted_checkpoint.unlink(missing_ok=True)
        else:
            changes = {"epochs": max(1, epochs)}
            if changes["epochs"] < recipe.epochs:
                fit_in = f"{changes['epochs']} of {recipe.epochs} epochs fit into {recipe.minutes:g} minutes"
                logger.info("%s", fit_in)
        setup = with_epochs(setup, override(recipe, changes))
        folder.write("recipe.yaml", setup.recipe.to_yaml())
    return setup, [TimeLimit(left)]


def _head_is_better(setup: TrainingSetup, recorder: Recorder) -> bool:
    """Whether the fitted head was better on the validation split than the network after every epoch."""
    if setup.head is None or not recorder.metrics.rows:
        return setup.head is not None
    if setup.head["val"] is None:
        return False
    before = {f"val_{name}": value for name, value in setup.head["val"].items()}
    return recorder.rank(before) < min(map(recorder.rank, recorder.metrics.rows))


def _take_head(setup: TrainingSetup, folder: RunFolder) -> None:
    """Return to the weights before the first step."""
    state = load_checkpoint(folder.fitted_checkpoint)["model"]
    setup.training.model.load_state_dict(state)
    if setup.training.ema is not None:
        setup.training.ema.module.load_state_dict(state)
    setup.training.progress.epoch = 0
    logger.info("no epoch was better than the head alone, so the network with the fitted head is kept")


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


def _fit(setup: TrainingSetup, batches: ControlledBatches, listeners: Sequence[Listener]) -> None:
    def validate() -> Evaluation:
        held_out = setup.evaluate("val")
        assert held_out is not None, "asked for only where there is validation data"
        return held_out

    try:
        fit(
            setup.training,
            batches,
            epochs=setup.recipe.epochs,
            validate=validate if len(setup.split.val) else None,
            listeners=listeners,
        )
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RecipeError("batch norm needs more than one image per batch; raise batch_size") from error


def _build(
    folder: RunFolder, recipe: Recipe, data: Opened, compute: Compute, network: Network | None
) -> TrainingSetup:
    """Build the setup; the state of fitted stages is saved, so that a resumed run does not fit them again."""
    identity = _identity(recipe)
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


def _identity(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that may not change when a run is resumed; split.csv identifies the data."""
    content = recipe.to_dict()
    del content["name"], content["epochs"], content["minutes"], content["data"]["source"]
    return content


def _checkpoint(setup: TrainingSetup, checkpoint: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint of the same recipe."""
    content = load_checkpoint(checkpoint)
    _require_same(checkpoint, content.pop("recipe", None), identity)
    return _with_current_names(content, setup.training)


def _restore(setup: TrainingSetup, folder: RunFolder, identity: dict[str, Any]) -> None:
    """Restore the last checkpoint, after the changes that were made before it."""
    checkpoint = folder.checkpoint
    content = _checkpoint(setup, checkpoint, identity)
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
        return _identity(Recipe.from_dict({**then, "name": "unknown", "data": data}))
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


def _way_out(folder: RunFolder) -> str:
    good = (
        f"the last good checkpoint is {folder.checkpoint}"
        if folder.checkpoint.exists()
        else "it came before the first checkpoint"
    )
    return f"{good}; train again with a lower rate (--lr) or with --set clip_norm=1"
