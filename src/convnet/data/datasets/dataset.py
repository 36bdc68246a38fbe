"""What a data set must answer, and the functions over every data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor

from convnet.errors import DataError
from convnet.registry import nearest
from convnet.targets import CLASS_INDEX, Target
from convnet.types import Batch, ImageShape, SplitName

Modality = Literal["images", "table", "series"]
"""What samples are: images; rows of numbers, N×C×1×1; series of numbers, N×C×1×L."""
T = TypeVar("T")


@dataclass(frozen=True)
class DatasetInfo:
    """Everything known of a data set beside its samples.

    Attributes:
        name: What the user calls it.
        shape: C×H×W of every image that `read` returns.
        classes: Class names, in the order of the class indices.
        locations: Where each sample comes from: a path, or a file and a position in it.
        target: What is to be predicted.
        modality: What its samples are.
        given_split: The split that the makers of the data gave each sample; None where they gave none.
        groups: A number per sample, int64 N; a group is never divided between splits.
        duplicates: A number per sample, int64 N, the same for copies of one image; None if unknown.
        shards: The number of the archive that holds each sample, int64 N, where archives are read in order.
        sizes: Height and width per sample, int64 N×2, where they differ; `shape` then holds all of them.
        excluded: Samples that are not trained on, and why.
        unreadable: Files that could not be read, each with the reason.
        warnings: What the user should know before training, a line each.
        columns: The names of the columns of a table.
        in_memory: Whether reading is free; else batches are prefetched and statistics taken from a sample.
    """

    name: str
    shape: ImageShape
    classes: tuple[str, ...]
    locations: Sequence[str]
    target: Target = CLASS_INDEX
    modality: Modality = "images"
    given_split: Sequence[SplitName] | None = None
    groups: Tensor | None = None
    duplicates: Tensor | None = None
    shards: Tensor | None = None
    sizes: Tensor | None = None
    excluded: Mapping[int, str] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    in_memory: bool = True


class Dataset(Protocol):
    """A data set: every sample has one index, whatever split it belongs to."""

    @property
    def info(self) -> DatasetInfo:
        """What is known of it."""
        ...

    @property
    def targets(self) -> Tensor:
        """The stored targets of all samples, as `info.target` describes them."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> Batch:
        """Read samples.

        Args:
            indices: int64 B.

        Returns:
            Images B×C×H×W with their targets and indices; samples that cannot be read are missing.
        """
        ...


def location(dataset: Dataset, index: int) -> str:
    """Where a sample comes from: its path, or its position in the file that holds it."""
    return dataset.info.locations[index]


def class_names(dataset: Dataset) -> list[str]:
    """The name of the class of each sample, several separated by |; empty where samples have none."""
    return dataset.info.target.names(dataset.targets, dataset.info.classes)


def labels_of(dataset: Dataset) -> Tensor:
    """The class by which each sample is stratified, int64 N on the CPU."""
    return dataset.info.target.strata(dataset.targets, len(dataset.info.classes))


def read_sample(dataset: Dataset, index: int) -> Batch:
    """A batch of one sample, at its own size."""
    batch = dataset.read(torch.tensor([index]))
    if batch.sizes is None:
        return batch
    height, width = batch.sizes[0].tolist()
    targets = dataset.info.target.crop(batch.targets, height, width)
    return Batch(batch.images[..., :height, :width], targets, batch.indices)


def all_images(dataset: Dataset) -> Tensor:
    """The images of all samples at once: for tables and series, which are small."""
    return dataset.read(torch.arange(len(dataset))).images


def subset_info(info: DatasetInfo, indices: Tensor) -> DatasetInfo:
    """The same facts about some of the samples, numbered anew."""
    kept = indices.tolist()

    def chosen(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[indices]

    return replace(
        info,
        locations=[info.locations[i] for i in kept],
        given_split=None if info.given_split is None else [info.given_split[i] for i in kept],
        groups=chosen(info.groups),
        duplicates=chosen(info.duplicates),
        shards=chosen(info.shards),
        sizes=chosen(info.sizes),
        excluded={new: info.excluded[old] for new, old in enumerate(kept) if old in info.excluded},
    )


@dataclass(frozen=True)
class View:
    """Some samples of another data set, with targets of its own, read onto a device."""

    base: Dataset
    indices: Tensor
    targets: Tensor
    info: DatasetInfo
    device: torch.device | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Tensor) -> Batch:
        """Samples of the other data set under the indices of this one."""
        indices = indices.cpu()
        batch = self.base.read(self.indices[indices])
        if len(batch) < len(indices):  # some could not be read
            indices = indices[torch.isin(self.indices[indices], batch.indices.cpu())]
        targets = self.info.target.batch(self.targets[indices])
        device = self.device or batch.images.device
        return Batch(batch.images.to(device), targets.to(device), indices.to(device), batch.sizes)


def _whole(dataset: Dataset) -> View:
    return View(dataset, torch.arange(len(dataset)), dataset.targets, dataset.info)


@singledispatch
def subset(dataset: Dataset, indices: Tensor) -> Dataset:
    """Some of the samples, numbered anew."""
    return View(dataset, indices, dataset.targets[indices], subset_info(dataset.info, indices))


@singledispatch
def with_targets(dataset: Dataset, targets: Tensor, classes: Sequence[str]) -> Dataset:
    """The same samples with other targets of the same kind."""
    return replace(_whole(dataset), targets=targets, info=replace(dataset.info, classes=tuple(classes)))


@singledispatch
def to_device(dataset: Dataset, device: torch.device) -> Dataset:
    """The same data set, whose batches lie on `device`."""
    return replace(_whole(dataset), device=device)


def select_classes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The samples of some of the classes, which are then all there are.

    Raises:
        DataError: a name is no class, or samples have no class.
    """
    info = dataset.info
    if not info.target.exclusive:
        raise DataError(f"{info.name}: data.classes does not apply: its samples have no class each")
    for name in names:
        if name not in info.classes:
            raise DataError(f"{info.name}: data.classes: no class '{name}'{nearest(name, info.classes)}")
    if len(set(names)) < max(2, len(names)):
        raise DataError(f"{info.name}: data.classes: name two or more different classes")
    numbers = torch.tensor([info.classes.index(name) for name in names])
    kept = torch.isin(dataset.targets, numbers).nonzero()[:, 0]
    renumbered = torch.zeros(len(info.classes), dtype=torch.int64)
    renumbered[numbers] = torch.arange(len(names))
    return with_targets(subset(dataset, kept), renumbered[dataset.targets[kept]], names)
