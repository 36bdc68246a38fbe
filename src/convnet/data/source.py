"""What a data set must answer, and the source that holds its images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

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
    def targets(self) -> Tensor:
        """What there is to say of each sample: int64 N classes, uint8 N×K labels, masks, images."""
        ...

    @property
    def labels(self) -> Tensor:
        """The class of each sample, int64 N, of several labels the rarest; all 0 where there is no class."""
        ...

    @property
    def sizes(self) -> Tensor | None:
        """Heights and widths, int64 N×2, where they differ: `shape` is then large enough for all."""
        ...

    @property
    def partition(self) -> Sequence[SplitName] | None:
        """The split that the set's makers gave each sample, or None where they gave none."""
        ...

    @property
    def groups(self) -> Tensor | None:
        """A number for each sample, int64 N: those of one group stay on one side of every split."""
        ...

    @property
    def shards(self) -> Tensor | None:
        """The number of the archive that each sample lies in, int64 N, where they are read in a row."""
        ...

    @property
    def duplicates(self) -> Tensor | None:
        """A number for each sample, int64 N: the same for copies of one picture; None if nobody looked."""
        ...

    @property
    def unfit(self) -> Mapping[int, str]:
        """Samples that nothing should be learnt from, and why."""
        ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that were left out, each with its reason."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing before training, a line each."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing; otherwise it is done ahead, and statistics are taken of a part."""
        ...

    def __len__(self) -> int: ...

    def one(self, index: int) -> Batch:
        """A batch of one sample, at its own size."""
        ...

    def part(self, indices: Tensor) -> Source:
        """A source of some of the samples, numbered anew."""
        ...

    def relabelled(self, targets: Tensor, classes: Sequence[str]) -> Source:
        """The same samples with other targets."""
        ...

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
    groups: Tensor | None = None
    duplicates: Tensor | None = None
    notes: tuple[str, ...] = ()
    in_memory: bool = True

    @property
    def shards(self) -> Tensor | None:
        """In memory all places are alike."""
        return None

    @property
    def unfit(self) -> Mapping[int, str]:
        """Nothing is known against any sample."""
        return {}

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of every image."""
        return ImageShape(*self.images.shape[1:])

    @property
    def labels(self) -> Tensor:
        """The class of each sample, int64 N on the CPU; of several labels the rarest; else 0."""
        if self.target == "class":
            return self.targets.cpu()
        if self.target == "labels":
            return rarest(self.targets.cpu())
        return torch.zeros(len(self), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Batch:
        """An index-select: B×C×H×W, on the device of the source."""
        indices = indices.to(self.images.device)
        images, targets = self.images.index_select(0, indices), self.targets.index_select(0, indices)
        if self.target == "mask":
            targets = targets.long()
        elif self.target == "labels":
            targets = targets.float()
        elif self.target == "image":
            targets = targets.float() / 255
        return Batch(images, targets, indices, None if self.sizes is None else self.sizes[indices])

    def one(self, index: int) -> Batch:
        """A batch of one sample, at its own size."""
        batch = self.read(torch.tensor([index]))
        if batch.sizes is None:
            return batch
        height, width = batch.sizes[0].tolist()
        targets = batch.targets if self.target in ("class", "labels") else batch.targets[..., :height, :width]
        return Batch(batch.images[..., :height, :width], targets, batch.indices)

    def class_names(self) -> list[str]:
        """The class of each sample, several labels with | between them; empty where samples have none."""
        if self.target not in ("class", "labels"):
            return [""] * len(self)
        return class_names(self.targets, self.classes)

    def describe(self, index: int) -> str:
        """The path of the sample within its folder, or its file and row."""
        return self.places[index]

    def part(self, indices: Tensor) -> MemorySource:
        """A source of some of the samples, numbered anew."""
        changes: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[indices]
            for name in ("images", "targets", "sizes", "groups", "duplicates")
        }
        partition = None if self.partition is None else picked(self.partition, indices)
        return replace(self, places=picked(self.places, indices), partition=partition, **changes)

    def relabelled(self, targets: Tensor, classes: Sequence[str]) -> MemorySource:
        """The same samples with other targets."""
        return replace(self, targets=targets, classes=tuple(classes))

    def to(self, device: torch.device) -> MemorySource:
        """A copy on `device`; the same object where it lies there already."""
        if self.images.device == device:
            return self
        sizes = None if self.sizes is None else self.sizes.to(device)
        return replace(self, images=self.images.to(device), targets=self.targets.to(device), sizes=sizes)


def everything(source: Source) -> Tensor:
    """The images of all samples at once: for tables and series, which are small."""
    return source.read(torch.arange(len(source))).images


def recast(source: Source, images: Tensor) -> MemorySource:
    """The same samples with other images N×C×H×W, in memory."""
    return MemorySource(
        name=source.name,
        images=images,
        targets=source.targets.to(images.device),
        classes=source.classes,
        places=[source.describe(i) for i in range(len(source))],
        partition=source.partition,
        skipped=source.skipped,
        columns=source.columns,
        form=source.form,
        target=source.target,
        groups=source.groups,
        duplicates=source.duplicates,
        notes=source.notes,
    )


S = TypeVar("S")


def rarest(targets: Tensor) -> Tensor:
    """Of several labels (N×K, 1 for each) the one that fewest samples have, int64 N; K if there is none."""
    counts = targets.sum(0, dtype=torch.int64)
    rank = torch.where(targets > 0, counts, len(targets) + 1)
    return torch.where(targets.bool().any(1), rank.argmin(1), targets.shape[1])


def class_names(targets: Tensor, classes: Sequence[str]) -> list[str]:
    """The names of class indices N, or of labels N×K with | between them."""
    if targets.dim() == 1:
        return [classes[label] for label in targets.tolist()]
    return ["|".join(classes[k] for k in row.nonzero().flatten().tolist()) for row in targets]


def picked(values: Sequence[S], indices: Tensor) -> list[S]:
    """Those at some places."""
    return [values[i] for i in indices.tolist()]


def keep_classes(source: Source, names: Sequence[str]) -> Source:
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
    renumbered = torch.zeros(len(source.classes), dtype=torch.int64)
    renumbered[numbers] = torch.arange(len(names))
    return source.part(kept).relabelled(renumbered[source.targets[kept]], names)
