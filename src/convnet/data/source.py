"""What a data set must answer, and the source that holds its images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from convnet.types import Batch, ImageShape, SplitName, Task


class Source(Protocol):
    """A data set: every sample has one index, whatever split it belongs to."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def task(self) -> Task:
        """What its targets are."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the target numbers."""
        ...

    @property
    def shape(self) -> ImageShape:
        """Shape of every image that `read` returns."""
        ...

    @property
    def is_table(self) -> bool:
        """Whether the samples are rows of numbers instead of images."""
        ...

    @property
    def targets(self) -> Tensor:
        """int64 N."""
        ...

    @property
    def partition(self) -> Sequence[SplitName] | None:
        """The split that the set's makers gave each sample, or None where they gave none."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 B): uint8 images B×C×H×W and their targets."""
        ...

    def describe(self, index: int) -> str:
        """Where a sample comes from: its path, or its place in the file that holds it."""
        ...

    def to(self, device: torch.device) -> Source:
        """The same source, handing out batches that lie on `device`."""
        ...


@dataclass(frozen=True)
class MemorySource:
    """A data set that lies in memory, or on the accelerator, as one uint8 tensor.

    `images` is uint8 N×C×H×W, `targets` int64 N; `places` says where each sample comes from: a path below
    the folder, or "train-images-idx3-ubyte[17]". The rows of a table are float images N×C×1×1, whose channels
    are its `columns`.
    """

    name: str
    images: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    places: Sequence[str]
    partition: Sequence[SplitName] | None = None
    skipped: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    task: Task = "classification"

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of every image."""
        return ImageShape(*self.images.shape[1:])

    @property
    def is_table(self) -> bool:
        """Whether the samples are rows of numbers."""
        return bool(self.columns)

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, indices: Tensor) -> Batch:
        """An index-select: B×C×H×W uint8, on the device of the source."""
        indices = indices.to(self.images.device)
        return Batch(self.images.index_select(0, indices), self.targets.index_select(0, indices), indices)

    def describe(self, index: int) -> str:
        """The path of the sample within its folder, or its file and row."""
        return self.places[index]

    def to(self, device: torch.device) -> MemorySource:
        """A copy on `device`; the same object where it lies there already."""
        if self.images.device == device:
            return self
        return replace(self, images=self.images.to(device), targets=self.targets.to(device))
