"""Data sets of image files, decoded when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from convnet.data.datasets.dataset import DatasetInfo, subset, subset_info, to_device, with_targets
from convnet.data.files.image_reader import ImageReader
from convnet.types import Batch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageDataset:
    """Images in files; `rows` are the positions of the samples among the `files`.

    A batch lacks the images that could not be read. `audit`, where all files were scanned, has every finding.
    """

    known: DatasetInfo
    files: ImageReader
    rows: Tensor
    targets: Tensor
    audit: Mapping[str, Any] | None = None
    device: torch.device = CPU

    @property
    def info(self) -> DatasetInfo:
        """What is known so far: files that turn out to be unreadable while they are decoded are added."""
        if not self.files.problems:
            return self.known
        found = (why for _, why in sorted(self.files.problems.items()))
        return replace(self.known, unreadable=(*self.known.unreadable, *found))

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor) -> Batch:
        """The images that can be read, B×C×H×W in channels-last order, on the device of the data set."""
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
