"""`Meter`: timing, running means, deferred reads from the device and the check for NaN."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import torch

from convnet.errors import DivergedError
from convnet.mean_loss import as_mean
from convnet.training.events import EpochEnd, Listener, StepEnd, notify
from convnet.training.state import Training
from convnet.training.step import StepResult

FETCH_EVERY = 16
"""Steps between reads of the loss from an accelerator, because each read synchronizes; 1 on the CPU."""
T = TypeVar("T")


class Validation(Protocol):
    """The result of a validation."""

    extra: Mapping[str, float]
    """Metrics of the user's own."""

    @property
    def loss(self) -> float | None:
        """Mean over the samples; None if no target counts."""
        ...

    @property
    def score(self) -> float | None:
        """The metric of the task: accuracy, PSNR, …"""
        ...


class HasSteps(Protocol):
    """What knows the number of steps of the current epoch."""

    @property
    def steps(self) -> int:
        """The number."""
        ...


class Meter:
    """Counts the steps of an epoch and sends events to the listeners.

    Args:
        training: The training.
        batches: Have the number of steps of the epoch.
        listeners: Receive the events.
    """

    def __init__(self, training: Training, batches: HasSteps, listeners: Sequence[Listener]) -> None:
        self.training, self.batches, self.listeners = training, batches, listeners
        self.idle_before = training.idle_seconds
        self.fetch_every = 1 if training.compute.device.type == "cpu" else FETCH_EVERY
        self.began = time.perf_counter()
        self.waiting = 0.0
        self.images = 0
        self.pending: list[tuple[int, float, StepResult]] = []

    def timed(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and count the time spent waiting for them."""
        asked = time.perf_counter()
        for item in items:
            self.waiting += time.perf_counter() - asked
            yield item
            asked = time.perf_counter()

    def add(self, result: StepResult) -> None:
        """Count a step; its loss and metric are read from the device now or a few steps later.

        Raises:
            DivergedError: The loss became NaN or infinite.
        """
        progress = self.training.progress
        progress.step += 1
        progress.step_in_epoch += 1
        self.images += result.images
        self.pending.append((progress.step, self.training.lr, result))
        due = len(self.pending) >= self.fetch_every or progress.step_in_epoch == self.batches.steps
        if due or self.training.reports_at_once:
            self._report()

    def _report(self) -> None:
        """Read, check and sum the results of the last steps, and notify the listeners."""
        progress, results = self.training.progress, [result for _, _, result in self.pending]
        losses = torch.stack([result.loss for result in results]).tolist()
        scores = torch.stack([result.score for result in results]).tolist()
        weights = torch.stack([result.weight for result in results]).tolist()
        parts = torch.stack([result.parts for result in results]).tolist()
        part_weights = torch.stack([result.part_weights for result in results]).tolist()
        rows = list(zip(self.pending, losses, scores, weights, strict=True))
        self.pending = []
        for row, means, shares in zip(rows, parts, part_weights, strict=True):
            (step, lr, _), loss, score, weight = row
            if not math.isfinite(loss):
                raise DivergedError(f"the loss became {loss} at step {step} (learning rate {lr:g})")
            progress.add(means, shares, score, weight)
        for (step, lr, result), loss, score, weight in rows:
            mean, epoch = score / max(1, weight), progress.epoch + 1
            event = StepEnd(epoch, step, self.batches.steps, lr, loss, mean, result.images, self.training)
            notify(self.listeners, event)

    def finish_epoch(self, validate: Callable[[], Validation] | None) -> None:
        """Validate, update the schedule, and notify the listeners.

        Raises:
            DivergedError: A weight or the validation loss is NaN or infinite.
        """
        training, idle = self.training, self.training.idle_seconds - self.idle_before
        seconds = time.perf_counter() - self.began - idle
        progress = training.progress
        training.require_finite()
        held_out = validate() if validate else None
        train_loss = progress.loss([factor for factor, _ in as_mean(training.loss).terms])
        train_score = progress.score_sum / max(1, progress.score_weight)
        watched = train_loss if held_out is None or held_out.loss is None else held_out.loss
        lr = training.lr
        if not math.isfinite(watched):
            raise DivergedError(
                f"the validation loss became {watched} after step {progress.step} (learning rate {lr:g})"
            )
        training.schedule.observe(watched)
        progress.next_epoch()
        event = EpochEnd(
            epoch=progress.epoch,
            step=progress.step,
            lr=lr,
            train_loss=train_loss,
            train_score=train_score,
            val_loss=held_out.loss if held_out else None,
            val_score=held_out.score if held_out else None,
            seconds=seconds,
            data_seconds=max(0.0, self.waiting - idle),
            images=self.images,
            training=training,
            val_metrics=held_out.extra if held_out else {},
        )
        notify(self.listeners, event)
