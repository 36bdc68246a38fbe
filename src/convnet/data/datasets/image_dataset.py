"""`ImageDataset`: image files that are decoded when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from convnet.data.datasets.dataset import DatasetInfo, described, subset, subset_info, to_device, with_targets
from convnet.data.files.image_reader import ImageReader
from convnet.types import Batch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageDataset:
    """A dataset of image files. Batches leave out images that cannot be read.

    Attributes:
        known: Facts known when the dataset was opened.
        files: Reads the images.
        rows: The position of each sample among the files.
        targets: Stored targets of all samples.
        audit: The findings, if all files were scanned.
        device: The device of the batches.
    """

    known: DatasetInfo
    files: ImageReader
    rows: Tensor
    targets: Tensor
    audit: Mapping[str, Any] | None = None
    device: torch.device = CPU

    @property
    def info(self) -> DatasetInfo:
        """The facts known so far; files found unreadable during decoding are added."""
        if not self.files.problems:
            return self.known
        found = (why for _, why in sorted(self.files.problems.items()))
        return replace(self.known, unreadable=(*self.known.unreadable, *found))

    def __repr__(self) -> str:
        """Name, number and shape of the samples."""
        return described(self)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor) -> Batch:
        """Read samples; B×C×H×W in channels-last order. Unreadable images are left out."""
        indices = indices.cpu()
        pixels, readable = self.files.read(self.rows[indices].numpy())
        indices = indices[torch.from_numpy(readable)]
        targets = self.known.target.batch(self.targets[indices])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return Batch(images.to(self.device), targets.to(self.device), indices.to(self.device))


@subset.register
def _(dataset: ImageDataset, indices: Tensor) -> ImageDataset:
    known = subset_info(dataset.known, indices)
    return replace(dataset, known=known, rows=dataset.rows[indices], targets=dataset.targets[indices])


@with_targets.register
def _(dataset: ImageDataset, targets: Tensor, classes: Sequence[str]) -> ImageDataset:
    return replace(dataset, targets=targets, known=replace(dataset.known, classes=tuple(classes)))


@to_device.register
def _(dataset: ImageDataset, device: torch.device) -> ImageDataset:
    return replace(dataset, device=device)
