"""`Dataset` and `DatasetInfo`, and functions that work on every dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from convnet.errors import DataError
from convnet.registry import nearest
from convnet.targets import CLASS_INDEX, Target
from convnet.types import Batch, ImageShape, Modality, SplitName

"""The kind of samples: images N×C×H×W, table rows N×C×1×1, or series N×C×1×L."""
T = TypeVar("T")


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset.

    Attributes:
        name: Its name.
        shape: C×H×W of the images that `read` returns.
        classes: Class names, in the order of the class indices.
        locations: The path of each sample, or a file and a position in it.
        target: The kind of target.
        modality: The kind of samples.
        given_split: The split of each sample given by the data; None if there is none.
        groups: A group number per sample, int64 N; groups are never divided between splits.
        duplicates: A number per sample, int64 N, equal for images that are equal in every pixel; None if
            unknown.
        near_copies: The same for exact and near copies (resized, compressed again, slightly cropped).
        shards: The number of each sample's archive, int64 N, if archives are read in order.
        sizes: Height and width per sample, int64 N×2, if they differ; `shape` is then their maximum.
        mask_values: The value in the mask files of each class; empty if there are no files, or colors.
        white: The stored value that is white, if images use less than the depth of their files.
        sample_rate: Samples per second of recordings; None for other data.
        checksums: A number per sample that changes with its file or its values and its target, int64 N; None
            if unknown.
        contents: A number per sample that changes with its pixels or values alone, int64 N; None if unknown.
        excluded: Samples that are not used for training, with reasons.
        unreadable: Files that could not be read, with reasons.
        warnings: Lines that are shown before training.
        columns: The column names of a table.
        in_memory: Whether samples are in memory. If not, batches are prefetched, and statistics are
            computed on a subset.
    """

    name: str
    shape: ImageShape
    classes: tuple[str, ...]
    locations: Sequence[str] = field(repr=False)
    target: Target = CLASS_INDEX
    modality: Modality = "images"
    given_split: Sequence[SplitName] | None = field(default=None, repr=False)
    groups: Tensor | None = field(default=None, repr=False)
    duplicates: Tensor | None = field(default=None, repr=False)
    near_copies: Tensor | None = field(default=None, repr=False)
    shards: Tensor | None = field(default=None, repr=False)
    sizes: Tensor | None = field(default=None, repr=False)
    mask_values: tuple[int, ...] = ()
    white: int | None = None
    sample_rate: int | None = None
    checksums: Tensor | None = field(default=None, repr=False)
    contents: Tensor | None = field(default=None, repr=False)
    excluded: Mapping[int, str] = field(default_factory=dict, repr=False)
    unreadable: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    in_memory: bool = True

    @property
    def noun(self) -> str:
        """What samples are called: images, rows, series or recordings."""
        if self.sample_rate is not None:
            return "recordings"
        return {"images": "images", "table": "rows", "series": "series"}[self.modality]


class Dataset(Protocol):
    """A dataset: info, targets and samples, with one index per sample across all splits."""

    @property
    def info(self) -> DatasetInfo:
        """Facts about the dataset."""
        ...

    @property
    def targets(self) -> Tensor:
        """The stored targets of all samples, in the form that `info.target` defines."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> Batch:
        """Read samples.

        Args:
            indices: int64 B.

        Returns:
            Images B×C×H×W with their targets and indices. Samples that cannot be read are left out.
        """
        ...


def described(dataset: Dataset) -> str:
    """A dataset on one line: its class, name, samples and classes."""
    info = dataset.info
    classes = f", {len(info.classes):,} classes" if info.target.has_classes else ""
    return f"{type(dataset).__name__} {info.name}: {len(dataset):,} {info.noun} of {info.shape}{classes}"


def location(dataset: Dataset, index: int) -> str:
    """The path of a sample, or its file and position."""
    return dataset.info.locations[index]


def class_names(dataset: Dataset) -> list[str]:
    """The class name of each sample; several labels are separated by |, and no class is an empty string."""
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
    """The images of all samples at once; for tables and series, which are small."""
    return dataset.read(torch.arange(len(dataset))).images


def subset_info(info: DatasetInfo, indices: Tensor) -> DatasetInfo:
    """The facts about a subset of the samples, renumbered."""
    kept = indices.tolist()

    def chosen(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[indices]

    return replace(
        info,
        locations=[info.locations[i] for i in kept],
        given_split=None if info.given_split is None else [info.given_split[i] for i in kept],
        groups=chosen(info.groups),
        duplicates=chosen(info.duplicates),
        near_copies=chosen(info.near_copies),
        shards=chosen(info.shards),
        sizes=chosen(info.sizes),
        checksums=chosen(info.checksums),
        contents=chosen(info.contents),
        excluded={new: info.excluded[old] for new, old in enumerate(kept) if old in info.excluded},
    )


@dataclass(frozen=True)
class View:
    """A subset of another dataset, with its own targets and device."""

    base: Dataset
    indices: Tensor
    targets: Tensor
    info: DatasetInfo
    device: torch.device | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Tensor) -> Batch:
        """Read samples of the other dataset by the indices of this one."""
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
    """A subset of the samples, renumbered.

    Args:
        dataset: The dataset.
        indices: int64, the samples to keep.
    """
    return View(dataset, indices, dataset.targets[indices], subset_info(dataset.info, indices))


@singledispatch
def with_targets(dataset: Dataset, targets: Tensor, classes: Sequence[str]) -> Dataset:
    """The dataset with other targets of the same kind.

    Args:
        dataset: The dataset.
        targets: Stored targets of all samples.
        classes: The new class names.
    """
    return replace(_whole(dataset), targets=targets, info=replace(dataset.info, classes=tuple(classes)))


@singledispatch
def to_device(dataset: Dataset, device: torch.device) -> Dataset:
    """The dataset with its batches on `device`."""
    return replace(_whole(dataset), device=device)


def select_classes(dataset: Dataset, names: Sequence[str], *, least: int = 2) -> Dataset:
    """The samples of some classes, with the classes renumbered.

    Args:
        dataset: A dataset with one class per sample.
        names: The classes to keep, in their new order.
        least: The smallest number of classes.

    Raises:
        DataError: A name is not a class, or samples do not have one class each.
    """
    info = dataset.info
    if not info.target.exclusive:
        raise DataError(f"{info.name}: data.classes does not apply: the samples do not have one class each")
    for name in names:
        if name not in info.classes:
            raise DataError(f"{info.name}: data.classes: no class '{name}'{nearest(name, info.classes)}")
    if len(set(names)) < max(least, len(names)):
        raise DataError(f"{info.name}: data.classes: give {least} or more different classes")
    numbers = torch.tensor([info.classes.index(name) for name in names])
    kept = torch.isin(dataset.targets, numbers).nonzero()[:, 0]
    renumbered = torch.zeros(len(info.classes), dtype=torch.int64)
    renumbered[numbers] = torch.arange(len(names))
    return with_targets(subset(dataset, kept), renumbered[dataset.targets[kept]], names)
