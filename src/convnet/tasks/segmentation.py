"""One class per pixel of an image, or per step of a series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.device import Compute
from convnet.mean_loss import RunningLoss, as_mean
from convnet.outputs import MaskOutputs, Picture
from convnet.outputs.mask_colors import blended, colored, marked
from convnet.targets import MASK, Loss
from convnet.tasks.dense import center_crop, dense_outputs, samples
from convnet.tasks.intervals import Interval, as_intervals, bootstrap_sums
from convnet.tasks.metrics import correct_classes
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Score,
    Task,
    as_picture,
    evaluating,
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


class Segmentation(Task):
    """One of K classes per pixel; pixels without a class are ignored."""

    name = "segmentation"
    annotation = "mask"
    target = MASK
    score = Score("pixel_accuracy", "pixel accuracy")
    loss = "cross-entropy-dice"
    outputs_kind = MaskOutputs()

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The number of correct pixels, and of pixels that have a class."""
        return correct_classes(outputs, center_crop(targets, outputs))

    def fit_loss(self, loss: Loss) -> Loss:
        """The loss on the part of the mask that the outputs cover."""
        return as_mean(loss).after(lambda outputs, targets: (outputs, center_crop(targets, outputs)))

    def outputs_for(self, model: nn.Module, images: Tensor, tile: int | None = None) -> Tensor:
        """Logits per pixel, computed in tiles for large images."""
        return dense_outputs(model, images, tile=tile)

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
