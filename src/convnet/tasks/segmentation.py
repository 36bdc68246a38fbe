"""A class for every pixel of an image, or for every step of a series (M93)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.tasks.dense import center_crop, dense_outputs, samples
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Picture,
    Score,
    Task,
    as_picture,
    evaluating,
)
from convnet.training import Loss, correct_classes
from convnet.types import IGNORED, Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class SegmentationResult(Evaluation):
    """The loss, averaged over samples, and the confusion counts N×K×K (row = true class) of each sample."""

    loss: float
    confusions: Int[Tensor, "N K K"]
    indices: Int[Tensor, " N"]
    classes: tuple[str, ...]

    @property
    def score(self) -> float:
        """The pixel accuracy."""
        return _accuracy(self.confusions.sum(0))

    def scores(self) -> dict[str, Any]:
        """Pixel accuracy; the means of IoU and Dice over the classes that occur, and those of each class."""
        confusion = self.confusions.sum(0)
        iou, dice = _overlaps(confusion)
        return {
            "pixel_accuracy": self.score,
            "mean_iou": _mean(iou),
            "mean_dice": _mean(dice),
            "iou": dict(zip(self.classes, iou, strict=True)),
            "dice": dict(zip(self.classes, dice, strict=True)),
        }

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """Pixel accuracy and mean IoU of each sample."""
        for confusion in self.confusions:
            mean_iou = _mean(_overlaps(confusion)[0])
            yield {
                "pixel_accuracy": f"{_accuracy(confusion):.6f}",
                "mean_iou": "" if mean_iou is None else f"{mean_iou:.6f}",
            }


class Segmentation(Task):
    """One of K classes for each place; places without a class count nowhere."""

    name = "segmentation"
    reads = "mask"
    target = "mask"
    score = Score("pixel_accuracy", "pixel accuracy")
    loss = "cross-entropy-dice"

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Right pixels, of so many that have a class."""
        return correct_classes(outputs, center_crop(targets, outputs))

    def fit_loss(self, loss: Loss) -> Loss:
        """On the part of the mask that the network sees."""
        return lambda outputs, targets: loss(outputs, center_crop(targets, outputs))

    @torch.no_grad()
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, fabric: Fabric
    ) -> SegmentationResult:
        """Every sample at its own size; large ones in tiles."""
        k, total = len(dataset.classes), 0.0
        confusions = []
        with evaluating(model):
            for batch in samples(dataset, indices, self.transform):
                logits = dense_outputs(model, batch.images, fabric)
                total += loss(logits, batch.targets).item() * len(batch)
                confusions.append(_confusions(logits.argmax(1), batch.targets, k).cpu())
        return SegmentationResult(
            total / max(1, len(indices)), torch.cat(confusions), indices, dataset.classes
        )

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """The image; the true mask and the predicted one over it; what is wrong, in red."""
        image, truth = as_picture(batch.images[0]), batch.targets[0].cpu().numpy()
        predicted = output.argmax(1)[0].cpu().numpy()
        wrong = (predicted != truth) & (truth != IGNORED)
        return [
            ("image", image),
            ("truth", blended(image, coloured(truth), truth != IGNORED)),
            ("prediction", blended(image, coloured(predicted))),
            (f"wrong: {wrong.sum() / max(1, (truth != IGNORED).sum()):.1%}", marked(image, wrong)),
        ]


@TASKS.register("segmentation")
def segmentation() -> Task:
    """A class for every pixel of an image, or for every step of a series."""
    return Segmentation()


def _confusions(predicted: Tensor, targets: Tensor, k: int) -> Int[Tensor, "N K K"]:
    counts = []
    for guess, truth in zip(predicted, targets, strict=True):
        counted = truth != IGNORED
        counts.append(torch.bincount(truth[counted] * k + guess[counted], minlength=k * k).view(k, k))
    return torch.stack(counts)


def _accuracy(confusion: Tensor) -> float:
    return confusion.diagonal().sum().item() / max(1, confusion.sum().item())


def _overlaps(confusion: Tensor) -> tuple[list[float | None], list[float | None]]:
    """IoU and Dice of each class; None of a class that is neither there nor predicted."""
    both = confusion.diagonal().double().numpy()
    true, predicted = confusion.sum(1).double().numpy(), confusion.sum(0).double().numpy()
    union = true + predicted - both
    there = union > 0
    iou, dice = both / np.maximum(union, 1), 2 * both / np.maximum(true + predicted, 1)
    return (
        [float(x) if t else None for x, t in zip(iou, there, strict=True)],
        [float(x) if t else None for x, t in zip(dice, there, strict=True)],
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


ALPHA = 0.45
WRONG = (214, 39, 40)
PALETTE = (
    (53, 102, 184), (217, 114, 46), (47, 143, 91), (160, 72, 156), (196, 61, 75), (93, 106, 122), (138, 116,
    20), (29, 138, 153), (240, 190, 60), (120, 180, 60), (230, 130, 180), (90, 60, 30),
)  # fmt: skip

Mask = NDArray[np.integer]


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each class, K×3: twelve that differ well, then darker and darker ones."""
    colours = [
        tuple(int(c * 0.7 ** (k // len(PALETTE))) for c in PALETTE[k % len(PALETTE)]) for k in range(count)
    ]
    return np.array(colours, np.uint8).reshape(-1, 3)


def coloured(mask: Mask) -> Picture:
    """H×W class indices → H×W×3; black where there is none."""
    inside = mask >= 0
    colours = class_colours(int(mask.max(initial=0)) + 1)
    return np.where(inside[..., None], colours[np.where(inside, mask, 0)], 0).astype(np.uint8)


def blended(image: Picture, colours: Picture, where: NDArray[np.bool_] | None = None) -> Picture:
    """Colours over an image (grey or RGB), `where` there are any."""
    base = np.broadcast_to(image, colours.shape).astype(np.float32)
    mixed = (1 - ALPHA) * base + ALPHA * colours
    if where is not None:
        mixed = np.where(where[..., None], mixed, base)
    return mixed.round().astype(np.uint8)


def marked(image: Picture, where: NDArray[np.bool_]) -> Picture:
    """An image with some pixels in red."""
    base = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.where(where[..., None], np.array(WRONG, np.uint8), base).astype(np.uint8)
