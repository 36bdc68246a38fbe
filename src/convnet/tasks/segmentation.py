"""One class per pixel of an image, or per step of a series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL.Image
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import ImageColor
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.device import Compute
from convnet.mean_loss import RunningLoss, as_mean
from convnet.targets import MASK, Loss
from convnet.tasks.dense import center_crop, dense_outputs, samples
from convnet.tasks.intervals import Interval, as_intervals, bootstrap_sums
from convnet.tasks.mask_colors import blended, class_colors, colored, marked
from convnet.tasks.metrics import correct_classes
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Labels,
    Picture,
    Prediction,
    Score,
    Task,
    as_picture,
    evaluating,
    to_png,
)
from convnet.types import IGNORED, Batch


@dataclass(frozen=True, repr=False)
class SegmentationResult(Evaluation):
    """The evaluation of a segmentation network on N samples.

    Attributes:
        loss: The mean loss.
        confusions: The confusion matrix of each sample, N×K×K; rows are true classes.
        indices: The indices of the samples, N.
        classes: The names of the K classes.
    """

    loss: float | None
    confusions: Int[Tensor, "N K K"]
    indices: Int[Tensor, " N"]
    classes: tuple[str, ...]

    @property
    def score(self) -> float | None:
        """The pixel accuracy."""
        return _accuracy(self.confusions.sum(0))

    def scores(self) -> dict[str, Any]:
        """Pixel accuracy, mean IoU and mean Dice over the classes that occur, and IoU and Dice per class."""
        confusion = self.confusions.sum(0)
        iou, dice = (_known(overlap) for overlap in _overlaps(confusion.double().numpy()))
        return {
            "pixel_accuracy": self.score,
            "mean_iou": _mean(iou),
            "mean_dice": _mean(dice),
            "iou": dict(zip(self.classes, iou, strict=True)),
            "dice": dict(zip(self.classes, dice, strict=True)),
        }

    def intervals(self) -> dict[str, Interval]:
        """Bootstrap intervals over samples of the pixel accuracy, the mean IoU and the mean Dice."""
        k = len(self.classes)

        def figures(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            confusion = sums.reshape(-1, k, k)
            there = np.maximum((confusion.sum(1) + confusion.sum(2) > 0).sum(1), 1)
            means = [np.nansum(overlap, 1) / there for overlap in _overlaps(confusion)]
            correct = confusion.trace(axis1=1, axis2=2)
            with np.errstate(invalid="ignore"):
                accuracy = correct / confusion.sum((1, 2))
            return np.where(np.isnan(accuracy)[:, None], np.nan, np.stack([accuracy, *means], 1))

        ends = bootstrap_sums(self.confusions.flatten(1).double().numpy(), figures)
        return as_intervals(["pixel_accuracy", "mean_iou", "mean_dice"], ends)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The confusion matrices N×K×K."""
        return {"confusions": self.confusions.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """Pixel accuracy and mean IoU of each sample."""
        for confusion in self.confusions:
            iou, _ = _overlaps(confusion.double().numpy())
            accuracy, mean_iou = _accuracy(confusion), _mean(_known(iou))
            yield {
                "pixel_accuracy": "" if accuracy is None else f"{accuracy:.6f}",
                "mean_iou": "" if accuracy is None or mean_iou is None else f"{mean_iou:.6f}",
            }


@dataclass(frozen=True, repr=False)
class MaskPrediction(Prediction):
    """A predicted mask.

    Attributes:
        location: The path of the image.
        indices: Class indices H×W.
        classes: The names of the K classes.
        colors: The color of each class, K×3.
        picture: The image, H×W×C.
        values: The value of each class in the file. Default: its index.
    """

    location: str
    indices: NDArray[np.int64]
    classes: tuple[str, ...]
    colors: NDArray[np.uint8]
    picture: Picture
    values: tuple[int, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of pixels of each class."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The fraction of pixels of each class."""
        return {"image": self.location, "classes": self.shares}

    def as_text(self, top: int) -> str:
        """The fraction of pixels of each class."""
        return self.location + "".join(f"  {name} {share:.1%}" for name, share in self.shares.items())

    def files(self) -> dict[str, bytes]:
        """The mask, and the image overlaid with the colors of the classes."""
        overlay = blended(self.picture, self.colors[self.indices])
        return {"mask": self.png(), "overlay": to_png(PIL.Image.fromarray(overlay))}

    def png(self) -> bytes:
        """The mask as a PNG in the values of the training masks, with a palette of the classes' colors.

        Gray where a class has the value 255, which means no class in a palette, and for values above it.
        """
        values = np.array(self.values or range(len(self.classes)))
        written = values[self.indices]
        if values.max() >= 255:
            kind = np.uint8 if values.max() == 255 else np.uint16
            return to_png(PIL.Image.fromarray(written.astype(kind)))
        image = PIL.Image.fromarray(written.astype(np.uint8), "P")
        palette = np.zeros((256, 3), np.uint8)
        palette[values] = self.colors
        image.putpalette(palette.tobytes())
        return to_png(image)


@dataclass(frozen=True, repr=False)
class StepPrediction(Prediction):
    """The predicted class of every step of a series."""

    location: str
    classes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The classes in order."""
        return {"series": self.location, "steps": list(self.classes)}

    def as_text(self, top: int) -> str:
        """The classes in order."""
        return f"{self.location}  {' '.join(self.classes)}"

    def rows(self) -> list[tuple[object, ...]]:
        """One row per step."""
        return [(self.location, step, name) for step, name in enumerate(self.classes)]


class Segmentation(Task):
    """One of K classes per pixel; pixels without a class are ignored."""

    name = "segmentation"
    annotation = "mask"
    target = MASK
    score = Score("pixel_accuracy", "pixel accuracy")
    loss = "cross-entropy-dice"
    writes = MappingProxyType({"mask": "mask", "overlay": "overlay"})
    columns = ("series", "step", "class")

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The number of correct pixels, and of pixels that have a class."""
        return correct_classes(outputs, center_crop(targets, outputs))

    def fit_loss(self, loss: Loss) -> Loss:
        """The loss on the part of the mask that the outputs cover."""
        return as_mean(loss).after(lambda outputs, targets: (outputs, center_crop(targets, outputs)))

    def outputs_for(self, model: nn.Module, images: Tensor, tile: int | None = None) -> Tensor:
        """Logits per pixel, computed in tiles for large images."""
        return dense_outputs(model, images, tile=tile)

    def prediction(self, location: str, outputs: Tensor, images: Tensor, labels: Labels) -> Prediction:
        """The most probable class of every pixel, or of every step of a series."""
        best = outputs.argmax(1)[0]
        if labels.series:
            return StepPrediction(location, tuple(labels.classes[k] for k in best[0].tolist()))
        colors = class_colors(len(labels.classes))
        for i, name in enumerate(labels.classes):
            if name in labels.colors:
                colors[i] = ImageColor.getrgb(labels.colors[name])[:3]
        picture = as_picture(images[0])
        return MaskPrediction(location, best.numpy(), labels.classes, colors, picture, labels.values)

    @torch.no_grad()
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> SegmentationResult:
        """Evaluate every sample at its own size, large ones in tiles."""
        k, running = len(dataset.info.classes), RunningLoss(loss)
        confusions = []
        with evaluating(model):
            for batch in samples(dataset, indices, self.transform):
                logits = dense_outputs(model, batch.images, compute)
                running.add(logits, batch.targets)
                confusions.append(_confusions(logits.argmax(1), batch.targets, k).cpu())
        return SegmentationResult(running.mean, torch.cat(confusions), indices, dataset.info.classes)

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """The image, the true mask and the predicted mask over it, and the wrong pixels in red."""
        image, truth = as_picture(batch.images[0]), batch.targets[0].cpu().numpy()
        predicted = output.argmax(1)[0].cpu().numpy()
        wrong = (predicted != truth) & (truth != IGNORED)
        return [
            ("image", image),
            ("truth", blended(image, colored(truth), truth != IGNORED)),
            ("prediction", blended(image, colored(predicted))),
            (f"wrong: {wrong.sum() / max(1, (truth != IGNORED).sum()):.1%}", marked(image, wrong)),
        ]


@TASKS.register("segmentation")
def segmentation() -> Task:
    """One class per pixel of an image, or per step of a series."""
    return Segmentation()


def _confusions(predicted: Tensor, targets: Tensor, k: int) -> Int[Tensor, "N K K"]:
    counts = []
    for guess, truth in zip(predicted, targets, strict=True):
        counted = truth != IGNORED
        counts.append(torch.bincount(truth[counted] * k + guess[counted], minlength=k * k).view(k, k))
    return torch.stack(counts)


def _accuracy(confusion: Tensor) -> float | None:
    """The fraction of correct pixels; None if no pixel has a class."""
    counted = confusion.sum().item()
    return confusion.diagonal().sum().item() / counted if counted else None


def _overlaps(confusion: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU and Dice by class of confusion matrices …×K×K; NaN where a class is neither true nor predicted."""
    both = confusion.diagonal(axis1=-2, axis2=-1)
    marked = confusion.sum(-1) + confusion.sum(-2)
    iou, dice = both / np.maximum(marked - both, 1), 2 * both / np.maximum(marked, 1)
    return np.where(marked > 0, iou, np.nan), np.where(marked > 0, dice, np.nan)


def _known(overlaps: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in overlaps.tolist()]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
