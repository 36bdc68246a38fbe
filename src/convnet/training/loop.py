"""The training loop. Everything around it listens to its events; it knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import torch

from convnet.training.events import Listener, StopTraining
from convnet.training.meter import Meter, Validation
from convnet.training.state import Training
from convnet.training.step import StepResult, train_step
from convnet.types import Batch


class Batches(Protocol):
    """What the loop trains on: `steps` batches an epoch, from any place on."""

    steps: int

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the one at place `first` on."""
        ...


def fit(
    training: Training,
    batches: Batches,
    *,
    epochs: int,
    step: Callable[[Training, Batch], StepResult] = train_step,
    validate: Callable[[], Validation] | None = None,
    listeners: Sequence[Listener] = (),
) -> None:
    """Train from `training.progress` to the end of epoch `epochs`.

    Args:
        training: The model and all that trains it; it is changed in place.
        batches: What to train on.
        epochs: The number of the last epoch, counted from 1.
        step: What is done with a batch. Another function may replace the usual update.
        validate: Called after every epoch.
        listeners: Told of every step and every epoch. One may raise StopTraining to end training cleanly.

    Raises:
        DivergedError: the loss of a batch or of the validation became NaN or infinite.
    """
    progress = training.progress
    with torch.random.fork_rng(), suppress(StopTraining):
        while progress.epoch < epochs:
            training.begin_epoch()
            meter = Meter(training, batches.steps, listeners)
            for batch in meter.timed(batches.epoch(progress.epoch, first=progress.step_in_epoch)):
                training.begin_step()
                meter.add(step(training, batch))
            meter.finish_epoch(validate)
