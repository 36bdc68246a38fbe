"""What is to be learnt from which files: paths, labels, splits and groups, before anything is decoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from convnet.data.files.storage import FileEntry, Ignored, Storage
from convnet.errors import DataError
from convnet.types import SplitName

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What splits are called, in folders and in columns."""


class Sample(NamedTuple):
    """An image file with its labels (one, unless samples may have several), split and group."""

    entry: FileEntry
    labels: tuple[str, ...]
    split: SplitName | None = None
    group: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The image files of a data set, sorted by path.

    `multi_label`: a sample may have any number of labels, and none. `empty` are class folders without images.
    """

    name: str
    store: Storage
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    ignored: tuple[Ignored, ...] = ()
    empty: tuple[str, ...] = ()
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def given_split(self) -> list[SplitName] | None:
        """The split that each sample was given, if any was."""
        if not any(sample.split for sample in self.samples):
            return None
        return [sample.split or "train" for sample in self.samples]

    @property
    def groups(self) -> list[str] | None:
        """What belongs together, for each sample; None where nothing is said of it."""
        if not any(sample.group for sample in self.samples):
            return None
        return [sample.group or f"\0{i}" for i, sample in enumerate(self.samples)]

    def group_numbers(self) -> Tensor | None:
        """A number for each sample, the same within a group; None where nothing is said of groups."""
        groups = self.groups
        return None if groups is None else numbered(groups)

    def targets(self) -> Tensor:
        """int64 N; where samples may have several labels uint8 N×K, 1 for each that is there."""
        number = {name: i for i, name in enumerate(self.classes)}
        if not self.multi_label:
            return torch.tensor([number[sample.labels[0]] for sample in self.samples], dtype=torch.int64)
        targets = torch.zeros((len(self), len(self.classes)), dtype=torch.uint8)
        for row, sample in zip(targets, self.samples, strict=True):
            row[[number[label] for label in sample.labels]] = 1
        return targets

    def counts(self) -> dict[str, int]:
        """How many images each class has; 0 for class folders that hold none."""
        found = Counter(label for sample in self.samples for label in sample.labels)
        return {name: found[name] for name in sorted({*self.classes, *self.empty})}

    def without(self, left_out: Iterable[int]) -> Manifest:
        """The same without the samples at these places; classes stay."""
        lost = set(left_out)
        if not lost:
            return self
        kept = tuple(sample for i, sample in enumerate(self.samples) if i not in lost)
        return replace(self, samples=kept)

    def fingerprint(self) -> str:
        """A checksum of names, sizes and times: another one where a file came, went or was changed."""
        lines = (f"{name}\0{size}\0{stamp}\n" for (name, size, stamp), *_ in self.samples)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def make_manifest(
    name: str,
    store: Storage,
    samples: Sequence[Sample],
    *,
    ignored: Sequence[Ignored] = (),
    empty: Sequence[str] = (),
    multi_label: bool = False,
) -> Manifest:
    """A listing in the order of the paths, its classes those that occur.

    Raises:
        DataError: there is no image, or a class that is only held out.
    """
    ordered = tuple(sorted(samples, key=lambda sample: sample.entry.name))
    if not ordered:
        raise DataError(f"{store.root}: holds no images")
    classes = tuple(sorted({label for sample in ordered for label in sample.labels}))
    made = Manifest(name, store, ordered, classes, tuple(ignored), tuple(empty), multi_label)
    if made.given_split is not None:
        _require_known_classes(made)
    return made


def numbered(names: Sequence[str]) -> Tensor:
    """The same number for equal names, int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])


def _require_known_classes(made: Manifest) -> None:
    """A class that is only ever tested could not be learned."""
    trained = {label for sample in made.samples if sample.split in (None, "train") for label in sample.labels}
    for sample in made.samples:
        for label in sample.labels:
            if label not in trained:
                raise DataError(
                    f"{made.store.root}: class '{label}' is in {sample.split}/ but not in train/; known "
                    f"classes: {', '.join(sorted(trained))}; move some of it to train/, or remove it"
                )
