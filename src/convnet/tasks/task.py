"""`Task`, and what tasks share: evaluations, predictions, labels, the main metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset, Loader
from convnet.device import Compute
from convnet.errors import DataError
from convnet.mean_loss import RunningLoss
from convnet.outputs import Calibration, OutputKind, Picture
from convnet.outputs import as_picture as array_as_picture
from convnet.registry import Registry
from convnet.targets import Loss, Target
from convnet.tasks.intervals import Interval
from convnet.types import Annotation, Batch, evaluation_batch


@dataclass(frozen=True)
class Score:
    """The main metric of a task: its key in results, its label, and whether it is in decibels."""

    key: str
    label: str
    decibels: bool = False

    def show(self, value: float | None, digits: int = 2) -> str:
        """The value as text: "98.25%", "31.20 dB", or "–" for None."""
        if value is None:
            return "–"
        return f"{value:.{digits}f} dB" if self.decibels else f"{value:.{digits}%}"

    def show_interval(self, ends: Interval) -> str:
        """An interval as text: "97.80–98.62%", "30.9–31.4 dB"."""
        low, high = ends
        return f"{low:.2f}–{high:.2f} dB" if self.decibels else f"{100 * low:.2f}–{100 * high:.2f}%"


class Evaluation(ABC):
    """The result of an evaluation: mean loss, metrics, and a row per sample."""

    loss: float | None
    indices: Tensor
    extra: Mapping[str, float] = MappingProxyType({})
    """Metrics of the user's own."""

    @property
    @abstractmethod
    def score(self) -> float | None:
        """The value of the task's main metric; None if no target counts."""

    @abstractmethod
    def scores(self) -> dict[str, Any]:
        """All metrics by name; per-class metrics are dictionaries by class."""

    def intervals(self) -> dict[str, Interval]:
        """95% intervals of metrics, by their names."""
        return {}

    @abstractmethod
    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """The rows of predictions.csv, in the order of `indices`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of predictions.npz, in the order of `indices`."""
        return {}

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Further figures for JSON, for example those of each class."""
        return {}

    def tune_thresholds(self) -> dict[str, float]:
        """Thresholds tuned on these samples, by class; empty for tasks without thresholds."""
        return {}

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Evaluation:
        """The same outputs with other thresholds."""
        return self

    def fit_calibration(self, scrambled: Tensor | None) -> Calibration | None:
        """The calibration fitted to these samples; None for tasks without class probabilities.

        Args:
            scrambled: The outputs for samples of no class, by which the score of unknown samples is chosen.
        """
        return None

    def with_calibration(self, calibration: Calibration) -> Evaluation:
        """The same outputs with calibrated probabilities."""
        return self

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        numbers = {"loss": self.loss, **self.scores(), **self.extra}
        figures = [f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, float)]
        return f"{type(self).__name__}: {', '.join(figures)} (n = {len(self):,})"


class Task(ABC):
    """A kind of prediction: its target, its metric, its default loss, and how predictions are written.

    Attributes:
        name: Its name in recipes.
        annotation: What it reads from the data.
        target: The kind of target that its networks learn.
        score: The main metric.
        loss: The name of the default loss.
        outputs_kind: How the outputs of its networks are turned into predictions.
    """

    name: str
    annotation: Annotation
    target: Target
    score: ClassVar[Score]
    loss: str
    outputs_kind: OutputKind

    def outputs(self, dataset: Dataset) -> int:
        """The number of output channels of the network, by default one per class.

        Raises:
            DataError: The data has fewer than two classes, or lacks what the task needs.
        """
        if len(dataset.info.classes) < 2:
            only = f"one class, '{dataset.info.classes[0]}'" if dataset.info.classes else "no classes"
            raise DataError(f"{dataset.info.name}: has only {only}; training needs two or more")
        return len(dataset.info.classes)

    @abstractmethod
    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The metric of a batch as (sum, weight), for the training loop."""

    @abstractmethod
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> Evaluation:
        """Evaluate a model.

        Args:
            model: The network; evaluated in evaluation mode, and its own mode restored.
            dataset: The data.
            indices: The samples to evaluate.
            loss: The loss.
            compute: Device and precision.

        Returns:
            Loss, metrics and predictions.
        """

    def prepare_input(self, images: Tensor) -> Tensor:
        """Prepare images for prediction, before they are passed to the network."""
        return images

    def outputs_for(self, model: nn.Module, images: Tensor, tile: int | None = None) -> Tensor:
        """The outputs of the network for images N×C×H×W; `tile` applies to outputs per pixel."""
        outputs: Tensor = model(images)
        return outputs

    def transform(self, batch: Batch, seed: int | None) -> Batch:
        """Turn a batch of the data into inputs and targets; by default it is unchanged."""
        return batch

    def fit_loss(self, loss: Loss) -> Loss:
        """Adapt the loss to the outputs of this task's networks."""
        return loss

    def scrambled_outputs(self, model: nn.Module, dataset: Dataset, indices: Tensor) -> Tensor | None:
        """The outputs for some of the samples, scrambled; None for tasks that recognize no unknown ones."""
        return None

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """Captioned pictures of a sample (a batch of one) and its output, side by side."""
        return []


TASKS: Registry[Callable[..., Task], Any] = Registry("task")


def as_picture(image: Tensor) -> Picture:
    """C×H×W, 0…255 → uint8 H×W×1 or H×W×3; other numbers of channels are cut to the first, or first three."""
    return array_as_picture(image.float().cpu().numpy())


@torch.no_grad()
def predict_all(
    model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
) -> tuple[float | None, Tensor, Tensor, Tensor]:
    """The mean loss over samples, logits N×K, targets and indices N, all on the CPU."""
    running = RunningLoss(loss)
    logits, targets, places = [], [], []
    with evaluating(model):
        for batch in Loader(dataset, indices, evaluation_batch(dataset.info.shape)).epoch():
            with compute.autocast():
                given = model(batch.images)
            given = given.float()
            running.add(given, batch.targets)
            logits.append(given.cpu())
            targets.append(batch.targets.cpu())
            places.append(batch.indices.cpu())
    if not places:
        raise DataError(
            f"{dataset.info.name}: none of {len(indices)} images can be read; {dataset.info.unreadable[-1]}"
        )
    found = torch.cat(places)
    return running.mean, torch.cat(logits), torch.cat(targets), found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A block in which the model is in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
