"""The training loop (M40). Everything around it listens to its events; it knows none of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from convnet.device import derived_seed, seed_draws
from convnet.errors import DivergedError
from convnet.training.events import EpochEnd, Listener, StepEnd, StopTraining
from convnet.training.state import Training
from convnet.types import AuxiliaryLogits, Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FETCH_EVERY = 16
"""Steps between reads of the loss from an accelerator, which each wait for it; on the CPU every step."""


class Batches(Protocol):
    """What the loop trains on: `steps` batches an epoch, from any place on."""

    steps: int

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the one at place `first` on."""
        ...


class Validation(Protocol):
    """What a validation says: its mean loss, and the figure of merit of the task."""

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        ...

    @property
    def score(self) -> float:
        """Accuracy, PSNR, …"""
        ...


@dataclass(frozen=True)
class Pending:
    """A step whose figures have not been read from the device yet."""

    step: int
    rate: float
    loss: Tensor
    score: Tensor
    weight: Tensor
    images: int


def fit(
    training: Training,
    batches: Batches,
    *,
    epochs: int,
    fabric: Fabric,
    validate: Callable[[], Validation] | None = None,
    on_event: Listener = lambda event: None,
) -> None:
    """Train from `training.progress` to the end of epoch `epochs`: batch, forward, backward, update.

    A listener may raise StopTraining to end training cleanly.

    Raises:
        DivergedError: the loss of a batch or of the validation became NaN or infinite.
    """
    progress, optimizer, ema = training.progress, training.optimizer, training.ema
    model, stepper = fabric.setup(training.model, optimizer)
    fetch_every = 1 if fabric.device.type == "cpu" else FETCH_EVERY
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])

    with torch.random.fork_rng(), suppress(StopTraining):
        while progress.epoch < epochs:
            model.train()
            if training.freezing is not None:
                training.freezing.begin(progress.epoch)
            clock, waiting, pending = _Clock(), 0.0, list[Pending]()
            dataset = batches.epoch(progress.epoch, first=progress.step_in_epoch)
            asked = time.perf_counter()
            for batch in dataset:
                waiting += time.perf_counter() - asked
                seed_draws(derived_seed(training.seed, "step", progress.step), fabric.device)
                factor = training.schedule.factor(progress.step)
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * factor

                optimizer.zero_grad(set_to_none=True)
                logits, others = _outputs(model(batch.images))
                loss = _batch_loss(training, logits, batch)
                terms = (weight * _batch_loss(training, other, batch) for other, weight in others)
                objective = sum(terms, start=loss)
                penalty = training.regularizers.penalty(training.model)
                fabric.backward(objective if penalty is None else objective + penalty)
                if training.clip_norm is not None:
                    torch.nn.utils.clip_grad_norm_(training.model.parameters(), training.clip_norm)
                stepper.step()
                training.regularizers.project(training.model)
                if ema is not None:
                    ema.update_parameters(training.model)

                progress.step += 1
                progress.step_in_epoch += 1
                clock.images += len(batch)
                score, weight = training.metric(logits.detach(), batch.targets)
                rate = optimizer.param_groups[0]["lr"]
                pending.append(Pending(progress.step, rate, loss.detach(), score, weight, len(batch)))
                if len(pending) == fetch_every or progress.step_in_epoch == batches.steps:
                    _report(training, pending, batches.steps, on_event)
                    pending.clear()
                asked = time.perf_counter()
            _finish_epoch(training, clock, waiting, validate, on_event)


class _Clock:
    """Seconds since the epoch began, or went on, and the images trained on since."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.images = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start


def _outputs(output: Tensor | AuxiliaryLogits) -> tuple[Tensor, list[tuple[Tensor, float]]]:
    """The logits, and those of auxiliary heads with the weight of their losses."""
    if isinstance(output, AuxiliaryLogits):
        return output.logits, [(logits, output.weight) for logits in output.auxiliary]
    return output, []


def _batch_loss(training: Training, logits: Tensor, batch: Batch) -> Tensor:
    """The loss; of a mixed batch, the mean of both losses weighted by the shares of the images."""
    loss = training.loss(logits, batch.targets)
    if batch.mixed_targets is None:
        return loss
    return batch.mix * loss + (1 - batch.mix) * training.loss(logits, batch.mixed_targets)


def _report(training: Training, pending: list[Pending], steps: int, on_event: Listener) -> None:
    """Read the losses of the last steps, check them, count them, and tell the listeners."""
    progress = training.progress
    losses = torch.stack([step.loss for step in pending]).tolist()
    scores = torch.stack([step.score for step in pending]).tolist()
    weights = torch.stack([step.weight for step in pending]).tolist()
    for step, loss, score, weight in zip(pending, losses, scores, weights, strict=True):
        if not math.isfinite(loss):
            raise DivergedError(f"the loss became {loss} at step {step.step} (learning rate {step.rate:g})")
        progress.add(loss, step.images, score, weight)
    for step, loss, score, weight in zip(pending, losses, scores, weights, strict=True):
        mean, epoch = score / max(1, weight), progress.epoch + 1
        on_event(StepEnd(epoch, step.step, steps, step.rate, loss, mean, step.images, training))


def _finish_epoch(
    training: Training,
    clock: _Clock,
    waiting: float,
    validate: Callable[[], Validation] | None,
    on_event: Listener,
) -> None:
    progress, seconds = training.progress, clock.seconds
    training.require_finite()
    held_out = validate() if validate else None
    train_loss = progress.loss_sum / max(1, progress.seen)
    train_score = progress.score_sum / max(1, progress.score_weight)
    watched = train_loss if held_out is None else held_out.loss
    rate = training.optimizer.param_groups[0]["lr"]
    if not math.isfinite(watched):
        raise DivergedError(
            f"the validation loss became {watched} after step {progress.step} (learning rate {rate:g})"
        )
    training.schedule.observe(watched)
    progress.next_epoch()
    on_event(
        EpochEnd(
            epoch=progress.epoch,
            step=progress.step,
            rate=rate,
            train_loss=train_loss,
            train_score=train_score,
            val_loss=held_out.loss if held_out else None,
            val_score=held_out.score if held_out else None,
            seconds=seconds,
            data_seconds=waiting,
            images=clock.images,
            training=training,
        )
    )
