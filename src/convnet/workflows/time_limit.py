"""The time limit of a run: as many epochs as fit, and an end when the time is up."""

from __future__ import annotations

import copy
import logging
import time

from convnet.recipes import TrainingSetup
from convnet.training import EpochEnd, Event, StepEnd, StopTraining, train_step
from convnet.types import evaluation_batch

logger = logging.getLogger(__name__)

RESERVE_SECONDS = 8.0
"""For the predictions and the report at the end."""
SAFETY = 0.9
"""The part of the remaining time that is planned, because machines are shared."""
STEPS = 3


class TimeLimit:
    """A listener that ends training when the time is up, also within an epoch.

    Args:
        seconds: The time left.
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = time.perf_counter() + seconds

    def __call__(self, event: Event) -> None:
        """Check the time.

        Raises:
            StopTraining: It is up.
        """
        if not isinstance(event, StepEnd | EpochEnd):
            return
        if time.perf_counter() > self.deadline + event.training.idle_seconds:
            logger.info("the time is up after step %s", event.step)
            raise StopTraining


def seconds_for_results(setup: TrainingSetup) -> float:
    """The time that predictions on all held-out samples and the report take."""
    held_out = len(setup.split.val) + len(setup.split.test)
    return RESERVE_SECONDS + held_out * _evaluation_seconds(setup)


def epochs_within(setup: TrainingSetup, seconds: float) -> int:
    """The number of epochs, at most the recipe's, that fit into the time; measured on a few steps.

    Args:
        setup: A training that has not begun; it is not changed.
        seconds: The time for steps and validation.
    """
    if seconds <= 0:
        return 0
    training = copy.deepcopy(setup.training)
    training.begin_epoch()
    if training.freezing is not None:
        training.freezing.begin(setup.recipe.epochs)  # as later epochs are, in which everything is trained
    batches = setup.batches.epoch()
    times = []
    for batch, _ in zip(batches, range(STEPS), strict=False):
        began = time.perf_counter()
        training.begin_step()
        train_step(training, batch).loss.item()
        times.append(time.perf_counter() - began)
    epoch = min(times) * setup.batches.steps + len(setup.split.val) * _evaluation_seconds(setup)
    return max(0, min(setup.recipe.epochs, int(SAFETY * seconds / epoch)))


def _evaluation_seconds(setup: TrainingSetup) -> float:
    """The time of evaluating one sample."""
    some = (setup.split.val if len(setup.split.val) else setup.split.train)[
        : evaluation_batch(setup.inputs.info.shape)
    ]
    loss = setup.training.loss
    began = time.perf_counter()
    setup.task.evaluate(setup.training.evaluated, setup.inputs, some, loss, setup.training.compute)
    return (time.perf_counter() - began) / max(1, len(some))
