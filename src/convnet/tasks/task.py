"""What a task says: its targets, its head, its loss and figures, how predictions are written and drawn."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset, Loader
from convnet.device import Compute
from convnet.errors import DataError
from convnet.registry import Registry
from convnet.targets import Loss, Target
from convnet.types import Annotation, Batch, ImageShape

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What predictions.npz holds of the samples, in the order of `indices`."""
        return {}

    def tune_thresholds(self) -> dict[str, float]:
        """Thresholds chosen on these samples, by class; none where nothing has to be chosen."""
        return {}

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Evaluation:
        """The same predictions, decided with other thresholds."""
        return self

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Labels:
    """What the outputs of a network are called.

    Attributes:
        classes: Class names, in the order of the outputs.
        thresholds: By class, the probability from which a label applies; of multi-label tasks.
        colors: By class, how it is drawn over an image: "#rrggbb".
        series: Whether samples are series, so that an output per position is one per step.
    """

    classes: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    colors: Mapping[str, str] = field(default_factory=dict)
    series: bool = False


class Prediction(ABC):
    """The prediction for one sample."""

    location: str

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """For machines."""

    @abstractmethod
    def as_text(self, top: int) -> str:
        """One line for people; of many classes the `top` ones."""

    def files(self) -> dict[str, bytes]:
        """The PNG files that show it, by the keys of the task's `writes`."""
        return {}

    def rows(self) -> list[tuple[object, ...]]:
        """Rows for a table, under the task's `columns`."""
        return []


class Task(ABC):
    """One of the things a network can be for.

    `annotation` is what it takes from data, `target` the kind of target that its networks learn from,
    `score` its metric, `loss` the default. A prediction is shown by files (`writes`: their keys, and what is
    added to the name of the input) or by rows of a table with these `columns`; else in words.
    """

    name: str
    annotation: Annotation
    target: Target
    score: ClassVar[Score]
    loss: str
    writes: Mapping[str, str] = MappingProxyType({})
    columns: tuple[str, ...] = ()

    def outputs(self, dataset: Dataset) -> int:
        """The size of the head: a logit, or a map of logits, per class.

        Raises:
            DataError: there is nothing to tell apart, or the data lacks what the task needs.
        """
        if len(dataset.info.classes) < 2:
            only = f"one class, '{dataset.info.classes[0]}'" if dataset.info.classes else "no classes"
            raise DataError(f"{dataset.info.name}: has only {only}; there must be two or more to tell apart")
        return len(dataset.info.classes)

    @abstractmethod
    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The score of a batch as a sum and a weight, for the loop."""

    @abstractmethod
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> Evaluation:
        """Run the model over samples, in evaluation mode, and judge it; its own mode is restored."""

    @abstractmethod
    def prediction(self, location: str, outputs: Tensor, images: Tensor, labels: Labels) -> Prediction:
        """The prediction for a sample.

        Args:
            location: Where the sample comes from.
            outputs: What the network returned, 1×….
            images: The sample as it was read, 1×C×H×W.
            labels: The names of the outputs.
        """

    def prepare_input(self, images: Tensor) -> Tensor:
        """What is done to a user's images before the network is given them."""
        return images

    def outputs_for(self, model: nn.Module, images: Tensor, tile: int | None = None) -> Tensor:
        """The outputs of the network for images N×C×H×W; `tile` applies to outputs per position."""
        outputs: Tensor = model(images)
        return outputs

    def transform(self, batch: Batch, seed: int | None) -> Batch:
        """What the network is given and what it should say; as the source has it, unless a task makes it."""
        return batch

    def fit_loss(self, loss: Loss) -> Loss:
        """The loss on what this task's networks return."""
        return loss

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """A sample (a batch of one) and what the network made of it, as captioned pictures side by side."""
        return []


TASKS: Registry[Callable[..., Task], Any] = Registry("task")


def evaluation_batch(shape: ImageShape) -> int:
    """Samples per batch without gradients: fewer where they are large."""
    return max(4, EVALUATION_BATCH * 32**2 // max(32**2, shape.height * shape.width))


def as_picture(image: Tensor) -> Picture:
    """C×H×W, 0…255 → H×W×1 or H×W×3 uint8; of other channels the first, or the first three."""
    image = image[: 3 if len(image) >= 3 else 1]
    return image.float().round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy().astype(np.uint8)


def to_png(image: PIL.Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


@torch.no_grad()
def predict_all(
    model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
) -> tuple[float, Tensor, Tensor, Tensor]:
    """The mean loss over samples, whatever the batches; logits N×K, targets, indices N; all on the CPU."""
    total = torch.zeros((), dtype=torch.float64)
    logits, targets, places = [], [], []
    with evaluating(model):
        for batch in Loader(dataset, indices, evaluation_batch(dataset.info.shape)).epoch():
            with compute.autocast():
                given = model(batch.images)
            given = given.float()
            total += loss(given, batch.targets).cpu().double() * len(batch)
            logits.append(given.cpu())
            targets.append(batch.targets.cpu())
            places.append(batch.indices.cpu())
    if not places:
        raise DataError(
            f"{dataset.info.name}: of {len(indices)} images none can be read; {dataset.info.unreadable[-1]}"
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
