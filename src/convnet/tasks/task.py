"""What a task says: its targets, its head, its loss and figures, how predictions are written and drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset, Loader, Reads
from convnet.errors import DataError
from convnet.registry import Registry
from convnet.training import Loss
from convnet.types import Batch, ImageShape, TargetKind

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATION_BATCH = 512

Picture = NDArray[np.uint8]
"""H×W×C, 0…255."""


@dataclass(frozen=True)
class Score:
    """The figure of merit of a task: its key in results, its name in words, and how it is written."""

    key: str
    label: str
    decibels: bool = False

    def show(self, value: float | None, digits: int = 2) -> str:
        """ "98.25%", "31.20 dB", or "–" where there is none."""
        if value is None:
            return "–"
        return f"{value:.{digits}f} dB" if self.decibels else f"{value:.{digits}%}"


class Evaluation(ABC):
    """What became of some samples: the mean loss, the figures, and a row for each sample."""

    loss: float
    indices: Tensor

    @property
    @abstractmethod
    def score(self) -> float:
        """The task's figure of merit."""

    @abstractmethod
    def scores(self) -> dict[str, Any]:
        """All figures by name; those of single classes in dictionaries of their own."""

    @abstractmethod
    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """What predictions.csv says of each sample, in the order of `indices`."""

    def tune_thresholds(self) -> dict[str, float]:
        """Thresholds chosen on these samples, by class; none where nothing has to be chosen."""
        return {}

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Evaluation:
        """The same predictions, decided with other thresholds."""
        return self

    def __len__(self) -> int:
        return len(self.indices)


class Task(ABC):
    """One of the things a network can be for.

    `reads` is what it takes from data, `target` the kind of target that its networks learn from, `score` its
    figure of merit, `loss` the default.
    """

    name: str
    reads: Reads
    target: ClassVar[TargetKind]
    score: ClassVar[Score]
    loss: str

    def outputs(self, dataset: Dataset) -> int:
        """The size of the head: a logit, or a map of logits, per class.

        Raises:
            DataError: there is nothing to tell apart, or the data lacks what the task needs.
        """
        if len(dataset.classes) < 2:
            only = f"one class, '{dataset.classes[0]}'" if dataset.classes else "no classes"
            raise DataError(f"{dataset.name}: has only {only}; there must be two or more to tell apart")
        return len(dataset.classes)

    @abstractmethod
    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The score of a batch as a sum and a weight, for the loop."""

    @abstractmethod
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, fabric: Fabric
    ) -> Evaluation:
        """Run the model over samples, in evaluation mode, and judge it; its own mode is restored."""

    def transform(self, batch: Batch, seed: int | None) -> Batch:
        """What the network is given and what it should say; as the source has it, unless a task makes it."""
        return batch

    def fit_loss(self, loss: Loss) -> Loss:
        """The loss on what this task's networks return."""
        return loss

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """A sample (a batch of one) and what the network made of it, as captioned pictures side by side."""
        return []


TASKS: Registry[Callable[..., Task]] = Registry("task")


def evaluation_batch(shape: ImageShape) -> int:
    """Samples per batch without gradients: fewer where they are large."""
    return max(4, EVALUATION_BATCH * 32**2 // max(32**2, shape.height * shape.width))


def as_picture(image: Tensor) -> Picture:
    """C×H×W, 0…255 → H×W×1 or H×W×3 uint8; of other channels the first, or the first three."""
    image = image[: 3 if len(image) >= 3 else 1]
    return image.float().round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy().astype(np.uint8)


@torch.no_grad()
def predict_all(
    model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, fabric: Fabric
) -> tuple[float, Tensor, Tensor, Tensor]:
    """The mean loss over samples, whatever the batches; logits N×K, targets, indices N; all on the CPU."""
    total = torch.zeros((), dtype=torch.float64)
    logits, targets, places = [], [], []
    with evaluating(model):
        for batch in Loader(dataset, indices, evaluation_batch(dataset.shape)).epoch():
            with fabric.autocast():
                given = model(batch.images)
            given = given.float()
            total += loss(given, batch.targets).cpu().double() * len(batch)
            logits.append(given.cpu())
            targets.append(batch.targets.cpu())
            places.append(batch.indices.cpu())
    if not places:
        raise DataError(
            f"{dataset.name}: of {len(indices)} images none can be read; {dataset.unreadable[-1]}"
        )
    found = torch.cat(places)
    return total.item() / max(1, len(found)), torch.cat(logits), torch.cat(targets), found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; its own mode is restored."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
