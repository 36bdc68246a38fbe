"""Events that the training loop sends to its listeners (progress, checkpoints, early stopping, …)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnet.training.state import Training


class StopTraining(Exception):  # noqa: N818 (a signal, like StopIteration)
    """Raised by a listener to end training after the current event."""


@dataclass(frozen=True)
class TrainingStart:
    """Sent before training starts or resumes.

    Attributes:
        setup: The model and the data; a `recipes.TrainingSetup` when a recipe is trained.
        label: The name of the run among several (a variant, a fold); empty for a single run.
        folder: The run folder; None if nothing is stored.
    """

    setup: Any
    label: str = ""
    folder: Path | None = None


@dataclass(frozen=True)
class StepEnd:
    """Sent after each update.

    Attributes:
        epoch: The current epoch, counted from 1.
        step: Updates so far.
        steps_per_epoch: Updates per epoch.
        lr: The learning rate of the update.
        loss: The loss of the training batch before the update.
        score: The metric of the training batch before the update.
        images: The size of the batch.
        training: The training.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    lr: float
    loss: float
    score: float
    images: int
    training: Training


@dataclass(frozen=True)
class EpochEnd:
    """Sent after each epoch and its validation.

    Attributes:
        epoch: The number of the epoch, counted from 1.
        step: Updates so far.
        lr: The learning rate of the last update.
        train_loss: The running mean of the training loss over the epoch.
        train_score: The running mean of the metric (accuracy, PSNR, …) over the epoch.
        val_loss: None without validation data.
        val_score: None without validation data.
        seconds: The training time without validation since the epoch started or was resumed.
        data_seconds: The part of `seconds` spent waiting for batches.
        images: The number of images trained on in `seconds`.
        training: The training.
        val_metrics: The values of the recipe's `metrics` on the validation data.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_score: float
    val_loss: float | None
    val_score: float | None
    seconds: float
    data_seconds: float
    images: int
    training: Training
    val_metrics: Mapping[str, float] = field(default_factory=dict)


Event = TrainingStart | StepEnd | EpochEnd
Listener = Callable[[Event], object]


def labeled(listeners: Sequence[Listener], label: str) -> list[Listener]:
    """Listeners that receive the start of training with this label.

    Args:
        listeners: The listeners.
        label: The name of the run among several.
    """

    def with_label(listener: Listener) -> Listener:
        return lambda event: listener(
            replace(event, label=label) if isinstance(event, TrainingStart) else event
        )

    return [with_label(listener) for listener in listeners]


def notify(listeners: Sequence[Listener], event: Event) -> None:
    """Send an event to all listeners, even if one of them stops training.

    Raises:
        StopTraining: A listener raised it.
    """
    stop = None
    for listener in listeners:
        try:
            listener(event)
        except StopTraining as asked:
            stop = asked
    if stop is not None:
        raise stop
