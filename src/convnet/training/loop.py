"""The training loop; everything around it listens to its events."""

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
    """The training data of the loop, whose epochs may start at any position."""

    @property
    def steps(self) -> int:
        """The number of batches of the current epoch."""
        ...

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, starting at index `first`."""
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
        training: The model and everything that trains it; changed in place.
        batches: The training data.
        epochs: The number of the last epoch, counted from 1.
        step: The function that trains on a batch; replaces the default `train_step`.
        validate: Called after every epoch.
        listeners: Receive an event per step and per epoch; may raise StopTraining to end training.

    Raises:
        DivergedError: A training or validation loss became NaN or infinite.
    """
    progress = training.progress
    with torch.random.fork_rng(), suppress(StopTraining):
        while progress.epoch < epochs:
            training.begin_epoch()
            meter = Meter(training, batches, listeners)
            for batch in meter.timed(batches.epoch(progress.epoch, first=progress.step_in_epoch)):
                training.begin_step()
                meter.add(step(training, batch))
            meter.finish_epoch(validate)
