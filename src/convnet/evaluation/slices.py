"""Accuracy by properties of the images: size, shape, brightness and group."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from convnet.data import Dataset, ImageDataset, Loader
from convnet.errors import DataError
from convnet.tasks import ClassificationResult
from convnet.tasks.intervals import Interval, wilson
from convnet.types import evaluation_batch

ORIENTATION, SIDEWAYS = 274, 5
"""The EXIF tag of the orientation, and the first of its values that exchange the sides."""
PARTS = 4
"""Slices of a number: quarters of the samples."""
MOST_GROUPS = 20
"""The largest number of groups that are listed, those with the lowest accuracy."""
FEWEST = 5
"""The smallest slice that is listed."""
PORTRAIT, LANDSCAPE = 0.9, 1.1
"""The ratios of width to height below and above which an image is not square."""


@dataclass(frozen=True)
class Slice:
    """The accuracy of a part of the samples.

    Attributes:
        property: The property: "size", "shape", "brightness" or "group".
        label: Its values in this part.
        accuracy: The accuracy.
        interval: Its 95% interval.
        samples: The number of samples.
    """

    property: str
    label: str
    accuracy: float
    interval: Interval | None
    samples: int

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return asdict(self)


def measure_slices(evaluation: ClassificationResult, dataset: Dataset) -> list[Slice]:
    """The accuracy by every property that differs between the samples.

    Args:
        evaluation: The predictions.
        dataset: The data that was predicted.
    """
    right = (evaluation.predicted == evaluation.targets).numpy()
    found: list[Slice] = []
    if dataset.info.modality == "images":
        if isinstance(dataset, ImageDataset):
            sizes = file_sizes(dataset, evaluation.indices.tolist())
            known = ~np.isnan(sizes[:, 0])
            sides = np.sqrt(sizes.prod(1))[known]
            found += _by_number("size", sides, right[known], lambda a, b: f"{a:.0f} to {b:.0f} pixels")
            found += _by_aspect(sizes[known, 1] / sizes[known, 0], right[known])
        brightness = _brightness(dataset, evaluation.indices)
        if len(brightness) == len(right):
            found += _by_number("brightness", brightness, right, lambda a, b: f"mean {a:.0f} to {b:.0f}")
    if dataset.info.groups is not None:
        found += _by_group(_groups(dataset, evaluation.indices, dataset.info.groups), right)
    return found


def _groups(dataset: Dataset, indices: torch.Tensor, numbers: torch.Tensor) -> NDArray[Any]:
    """The group of each sample: its name if the data names groups, else its number."""
    names = dataset.files.manifest.groups if isinstance(dataset, ImageDataset) else None
    if names is None or not isinstance(dataset, ImageDataset):
        return numbers[indices].numpy()
    return np.array([names[int(row)] for row in dataset.rows[indices]])


def _slice(kind: str, label: str, right: NDArray[np.bool_]) -> Slice:
    count, total = int(right.sum()), len(right)
    return Slice(kind, label, count / total, wilson(count, total), total)


def _by_number(
    kind: str, values: NDArray[np.float64], right: NDArray[np.bool_], label: Callable[[float, float], str]
) -> Iterator[Slice]:
    """Quarters of the samples by a number; nothing if it hardly differs."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, PARTS + 1))) if len(values) else np.zeros(0)
    if len(edges) < 3:
        return
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    for part, (low, high) in enumerate(pairwise(edges.tolist())):
        if (chosen := place == part).sum() >= FEWEST:
            yield _slice(kind, label(low, high), right[chosen])


def _by_aspect(ratios: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Slice]:
    parts = {
        "portrait": ratios < PORTRAIT,
        "square": (ratios >= PORTRAIT) & (ratios <= LANDSCAPE),
        "landscape": ratios > LANDSCAPE,
    }
    there = [_slice("shape", name, right[part]) for name, part in parts.items() if part.sum() >= FEWEST]
    return there if len(there) > 1 else []


def _by_group(groups: NDArray[Any], right: NDArray[np.bool_]) -> list[Slice]:
    """The groups with the lowest accuracy."""
    names, counts = np.unique(groups, return_counts=True)
    large = names[counts >= FEWEST]
    found = [_slice("group", f"group {name}", right[groups == name]) for name in large.tolist()]
    return sorted(found, key=lambda part: part.accuracy)[:MOST_GROUPS] if len(found) > 1 else []


def _brightness(dataset: Dataset, indices: torch.Tensor) -> NDArray[np.float64]:
    """The mean value of each image as the network takes it."""
    batches = Loader(dataset, indices, evaluation_batch(dataset.info.shape)).epoch()
    means = [batch.images.float().flatten(1).mean(1).cpu() for batch in batches]
    return torch.cat(means).double().numpy() if means else np.zeros(0)


def file_sizes(dataset: ImageDataset, indices: Sequence[int]) -> NDArray[np.float64]:
    """Height and width of the image files of some samples N×2; NaN where one cannot be read."""
    manifest, found = dataset.files.manifest, np.full((len(indices), 2), np.nan)
    for place, index in enumerate(indices):
        name = manifest.samples[int(dataset.rows[index])].entry.name
        try:
            with Image.open(io.BytesIO(manifest.store.read(name))) as picture:
                turned = picture.getexif().get(ORIENTATION, 1) >= SIDEWAYS
                sides = picture.height, picture.width
                found[place] = sides[::-1] if turned else sides
        except (DataError, OSError, ValueError, Image.DecompressionBombError):
            continue
    return found
