"""What the loop tells its listeners: progress bars, checkpoints, early stopping, a web page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnet.training.state import Training


class StopTraining(Exception):  # noqa: N818 (a signal, like StopIteration)
    """Raised by a listener to end training after the event at hand."""


@dataclass(frozen=True)
class TrainingStart:
    """Training is about to begin, or to go on.

    Attributes:
        setup: What is trained, and on what; a `recipes.TrainingSetup` where a recipe is trained.
        label: Which of several runs it is: a variant, a fold; empty of a single run.
    """

    setup: Any
    label: str = ""


@dataclass(frozen=True)
class StepEnd:
    """An update was made. `loss` and `score` are of its training batch, before the update."""

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
    """An epoch is over; `epoch` counts from 1. Training figures are running means over the epoch.

    A score is the task's metric: accuracy, PSNR, ….
    `val_loss` and `val_score` are None without validation data. `seconds` is the time spent training
    (without validation) since the epoch began, or since the run went on; `images` what was trained on in
    that time; `data_seconds` the part of it spent waiting for batches.
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


Event = TrainingStart | StepEnd | EpochEnd
Listener = Callable[[Event], object]


def notify(listeners: Sequence[Listener], event: Event) -> None:
    """Tell all listeners, also those behind one that ends training.

    Raises:
        StopTraining: a listener asked for it.
    """
    stop = None
    for listener in listeners:
        try:
            listener(event)
        except StopTraining as asked:
            stop = asked
    if stop is not None:
        raise stop
