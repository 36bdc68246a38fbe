"""What a data set must answer, and the source that holds its images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from convnet.errors import DataError
from convnet.schema import nearest
from convnet.types import Batch, ImageShape, SplitName, TargetKind

Form = Literal["images", "table", "series"]
"""What the samples are: pictures; rows of numbers, N×C×1×1; series of numbers, N×C×1×L."""


class Source(Protocol):
    """A data set: every sample has one index, whatever split it belongs to."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def target(self) -> TargetKind:
        """What its targets are."""
        ...

    @property
    def form(self) -> Form:
        """What its samples are."""
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
    def labels(self) -> Tensor:
        """The class of each sample, int64 N; all 0 where samples have no class."""
        ...

    @property
    def sizes(self) -> Tensor | None:
        """Heights and widths, int64 N×2, where they differ: `shape` is then large enough for all."""
        ...

    @property
    def partition(self) -> Sequence[SplitName] | None:
        """The split that the set's makers gave each sample, or None where they gave none."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 B): images B×C×H×W and their targets."""
        ...

    def describe(self, index: int) -> str:
        """Where a sample comes from: its path, or its place in the file that holds it."""
        ...

    def class_names(self) -> list[str]:
        """The name of the class of each sample; empty where samples have none."""
        ...

    def to(self, device: torch.device) -> Source:
        """The same source, handing out batches that lie on `device`."""
        ...


@dataclass(frozen=True)
class MemorySource:
    """A data set that lies in memory, or on the accelerator, as one tensor.

    `images` is uint8 N×C×H×W; `targets` is int64 N, of masks int16 N×H×W, of images uint8 N×C×H×W; `places`
    says where each sample comes from: a path below the folder, or "train-images-idx3-ubyte[17]". Samples of
    different `sizes` fill the upper left of their images. The rows of a table are float images N×C×1×1, whose
    channels are its `columns`; series are float images N×C×1×L, NaN behind the end of the shorter ones.
    """

    name: str
    images: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    places: Sequence[str]
    partition: Sequence[SplitName] | None = None
    skipped: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    form: Form = "images"
    target: TargetKind = "class"
    sizes: Tensor | None = None

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of every image."""
        return ImageShape(*self.images.shape[1:])

    @property
    def labels(self) -> Tensor:
        """The class of each sample, int64 N on the CPU; all 0 where samples have no class."""
        if self.target == "class":
            return self.targets.cpu()
        return torch.zeros(len(self), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Batch:
        """An index-select: B×C×H×W, on the device of the source."""
        indices = indices.to(self.images.device)
        images, targets = self.images.index_select(0, indices), self.targets.index_select(0, indices)
        if self.target == "mask":
            targets = targets.long()
        elif self.target == "image":
            targets = targets.float() / 255
        return Batch(images, targets, indices, None if self.sizes is None else self.sizes[indices])

    def one(self, index: int) -> Batch:
        """A batch of one sample, at its own size."""
        batch = self.read(torch.tensor([index]))
        if batch.sizes is None:
            return batch
        height, width = batch.sizes[0].tolist()
        targets = batch.targets if self.target == "class" else batch.targets[..., :height, :width]
        return Batch(batch.images[..., :height, :width], targets, batch.indices)

    def class_names(self) -> list[str]:
        """The name of the class of each sample; empty where samples have none."""
        if self.target != "class":
            return [""] * len(self)
        return [self.classes[label] for label in self.targets.tolist()]

    def describe(self, index: int) -> str:
        """The path of the sample within its folder, or its file and row."""
        return self.places[index]

    def to(self, device: torch.device) -> MemorySource:
        """A copy on `device`; the same object where it lies there already."""
        if self.images.device == device:
            return self
        sizes = None if self.sizes is None else self.sizes.to(device)
        return replace(self, images=self.images.to(device), targets=self.targets.to(device), sizes=sizes)


def keep_classes(source: MemorySource, names: Sequence[str]) -> MemorySource:
    """The samples of some of the classes, which are then all there are.

    Raises:
        DataError: a name is no class, or samples have no class.
    """
    if source.target != "class":
        raise DataError(f"{source.name}: data.classes does not apply: its samples have no class each")
    for name in names:
        if name not in source.classes:
            raise DataError(f"{source.name}: data.classes: no class '{name}'{nearest(name, source.classes)}")
    if len(set(names)) < max(2, len(names)):
        raise DataError(f"{source.name}: data.classes: name two or more different classes")
    numbers = torch.tensor([source.classes.index(name) for name in names])
    kept = torch.isin(source.targets, numbers).nonzero()[:, 0]
    places = kept.tolist()
    renumbered = torch.zeros(len(source.classes), dtype=torch.int64)
    renumbered[numbers] = torch.arange(len(names))
    return replace(
        source,
        images=source.images[kept],
        targets=renumbered[source.targets[kept]],
        classes=tuple(names),
        places=[source.places[i] for i in places],
        partition=None if source.partition is None else [source.partition[i] for i in places],
        sizes=None if source.sizes is None else source.sizes[kept],
    )
