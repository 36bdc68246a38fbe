"""The inside of a run: from the setup through the loop to the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from convnet.errors import (
    DivergedError,
    InterruptedRunError,
    RecipeError,
)
from convnet.recipes import TrainingSetup, override
from convnet.recipes.applicable import head_only
from convnet.recipes.build import with_epochs
from convnet.runs import RunFolder, load_checkpoint
from convnet.tasks import Evaluation
from convnet.training import Listener, StopTraining, TrainingStart, fit, notify
from convnet.workflows.control import Control
from convnet.workflows.controlled_batches import ControlledBatches
from convnet.workflows.recorder import Recorder
from convnet.workflows.results import write_results
from convnet.workflows.run import Run
from convnet.workflows.run_setup import checkpoint_of, identity_of
from convnet.workflows.time_limit import TimeLimit, epochs_within, seconds_for_results

logger = logging.getLogger(__name__)


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
    identity = identity_of(recipe)
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
            setup.training.restore_weights(checkpoint_of(setup, folder.best_checkpoint, identity))
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


def _way_out(folder: RunFolder) -> str:
    good = (
        f"the last good checkpoint is {folder.checkpoint}"
        if folder.checkpoint.exists()
        else "it came before the first checkpoint"
    )
    return f"{good}; train again with a lower rate (--lr) or with --set clip_norm=1"
