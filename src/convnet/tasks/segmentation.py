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
        iou, dice = _overlaps(confusion)
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
            both = confusion.diagonal(axis1=1, axis2=2)
            marked = confusion.sum(2) + confusion.sum(1)
            there = marked > 0
            iou, dice = both / np.maximum(marked - both, 1), 2 * both / np.maximum(marked, 1)
            with np.errstate(invalid="ignore"):
                accuracy = both.sum(1) / confusion.sum((1, 2))
                means = [overlap.sum(1) / there.sum(1) for overlap in (iou, dice)]
            return np.stack([accuracy, *means], 1)

        ends = bootstrap_sums(self.confusions.flatten(1).double().numpy(), figures)
        return as_intervals(["pixel_accuracy", "mean_iou", "mean_dice"], ends)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The confusion matrices N×K×K."""
        return {"confusions": self.confusions.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """Pixel accuracy and mean IoU of each sample."""
        for confusion in self.confusions:
            accuracy, mean_iou = _accuracy(confusion), _mean(_overlaps(confusion)[0])
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


def _overlaps(confusion: Tensor) -> tuple[list[float | None], list[float | None]]:
    """IoU and Dice of each class; None for a class that neither occurs nor is predicted."""
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


def class_colors(count: int) -> NDArray[np.uint8]:
    """A color for each class, K×3: twelve distinct colors, then darker versions of them."""
    colors = [
        tuple(int(c * 0.7 ** (k // len(PALETTE))) for c in PALETTE[k % len(PALETTE)]) for k in range(count)
    ]
    return np.array(colors, np.uint8).reshape(-1, 3)


def colored(mask: Mask) -> Picture:
    """Class indices H×W → colors H×W×3; black where there is no class."""
    inside = mask >= 0
    colors = class_colors(int(mask.max(initial=0)) + 1)
    return np.where(inside[..., None], colors[np.where(inside, mask, 0)], 0).astype(np.uint8)


def blended(image: Picture, colors: Picture, where: NDArray[np.bool_] | None = None) -> Picture:
    """An image (gray or RGB) with colors blended over it, everywhere or only at `where`."""
    base = np.broadcast_to(image, colors.shape).astype(np.float32)
    mixed = (1 - ALPHA) * base + ALPHA * colors
    if where is not None:
        mixed = np.where(where[..., None], mixed, base)
    return mixed.round().astype(np.uint8)


def marked(image: Picture, where: NDArray[np.bool_]) -> Picture:
    """An image with the pixels at `where` in red."""
    base = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.where(where[..., None], np.array(WRONG, np.uint8), base).astype(np.uint8)
