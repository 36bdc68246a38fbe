"""`Manifest`: the image files of a data set with labels, splits and groups, before decoding."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convnet.data.files.storage import FileEntry, Ignored, Storage
from convnet.errors import DataError
from convnet.types import SplitName

if TYPE_CHECKING:
    from torch import Tensor

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "publictest": "val",
    "privatetest": "test",
}
"""The names of splits in folders and columns."""
UNUSED: Literal["unused"] = "unused"
"""The split of samples that are not used."""


class Sample(NamedTuple):
    """An image file with its labels (one, unless multi-label), split and group."""

    entry: FileEntry
    labels: tuple[str, ...]
    split: SplitName | None = None
    group: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The image files of a data set, sorted by path.

    Attributes:
        name: The name of the data.
        store: Where the files are.
        samples: The files.
        classes: The class names that occur.
        ignored: Other files, with reasons.
        empty: Class folders without images.
        multi_label: Whether a sample may have any number of labels.
        remarks: Lines about how the files were listed, shown before training.
    """

    name: str
    store: Storage
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    ignored: tuple[Ignored, ...] = ()
    empty: tuple[str, ...] = ()
    multi_label: bool = False
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def given_split(self) -> list[SplitName] | None:
        """The split of each sample, if any has one."""
        if not any(sample.split for sample in self.samples):
            return None
        return [sample.split or "train" for sample in self.samples]

    @property
    def groups(self) -> list[str] | None:
        """The group of each sample; None if there are no groups."""
        if not any(sample.group for sample in self.samples):
            return None
        return [sample.group or f"\0{i}" for i, sample in enumerate(self.samples)]

    def group_numbers(self) -> Tensor | None:
        """A group number per sample; None if there are no groups."""
        groups = self.groups
        return None if groups is None else numbered(groups)

    def targets(self) -> Tensor:
        """Class indices int64 N, or uint8 N×K if multi-label."""
        import torch  # imported here because listing files does not need it

        number = {name: i for i, name in enumerate(self.classes)}
        if not self.multi_label:
            return torch.tensor([number[sample.labels[0]] for sample in self.samples], dtype=torch.int64)
        targets = torch.zeros((len(self), len(self.classes)), dtype=torch.uint8)
        for row, sample in zip(targets, self.samples, strict=True):
            row[[number[label] for label in sample.labels]] = 1
        return targets

    def counts(self) -> dict[str, int]:
        """The number of images per class; 0 for empty class folders."""
        found = Counter(label for sample in self.samples for label in sample.labels)
        return {name: found[name] for name in sorted({*self.classes, *self.empty})}

    def without(self, left_out: Iterable[int]) -> Manifest:
        """The manifest without the samples at these positions; the classes stay the same."""
        lost = set(left_out)
        if not lost:
            return self
        kept = tuple(sample for i, sample in enumerate(self.samples) if i not in lost)
        return replace(self, samples=kept)

    def fingerprints(self) -> NDArray[np.uint64]:
        """A number per file, uint64 N, which changes with its name, size or time."""
        lines = (f"{name}\0{size}\0{stamp}" for (name, size, stamp), *_ in self.samples)
        digests = b"".join(
            hashlib.blake2b(line.encode(errors="surrogatepass"), digest_size=8).digest() for line in lines
        )
        return np.frombuffer(digests, np.uint64)


def make_manifest(
    name: str,
    store: Storage,
    samples: Sequence[Sample],
    *,
    ignored: Sequence[Ignored] = (),
    empty: Sequence[str] = (),
    multi_label: bool = False,
    remarks: Sequence[str] = (),
) -> Manifest:
    """Make a manifest in the order of paths, with the classes that occur.

    Labels are composed (NFC), so that an accented letter is the same however it was typed.

    Raises:
        DataError: There are no images, or a class is not in the training split.
    """
    ordered = tuple(
        sample if _composed(sample.labels) else sample._replace(labels=_compose(sample.labels))
        for sample in sorted(samples, key=lambda sample: sample.entry.name)
    )
    if not ordered:
        raise DataError(f"{store.root}: holds no images")
    classes = tuple(sorted({label for sample in ordered for label in sample.labels}))
    made = Manifest(
        name, store, ordered, classes, tuple(ignored), tuple(empty), multi_label, (*remarks, *_alike(classes))
    )
    if made.given_split is not None:
        _require_known_classes(made)
    return made


def _composed(labels: tuple[str, ...]) -> bool:
    return all(unicodedata.is_normalized("NFC", label) for label in labels)


def _compose(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({unicodedata.normalize("NFC", label) for label in labels}))


def _alike(classes: Sequence[str]) -> list[str]:
    """A line for class names that differ only in upper and lower case."""
    first: dict[str, str] = {}
    pairs = [(known, name) for name in classes if (known := first.setdefault(name.casefold(), name)) != name]
    return [
        f"classes '{one}' and '{other}' differ only in case; rename one if they are the same"
        for one, other in pairs[:3]
    ]


def other_case(name: str, known: Iterable[str]) -> str:
    """A hint for a name that differs from a known one only in case; empty if there is none."""
    same = next((other for other in known if other.casefold() == name.casefold()), None)
    return f" (it differs from '{same}' only in case)" if same is not None else ""


def numbered(names: Sequence[str]) -> Tensor:
    """A number per name, int64, equal for equal names."""
    import torch

    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])


def _require_known_classes(made: Manifest) -> None:
    """Check that every class of the given split is in its training part."""
    trained = {label for sample in made.samples if sample.split in (None, "train") for label in sample.labels}
    for sample in made.samples:
        for label in sample.labels:
            if label not in trained:
                hint = other_case(label, trained)
                raise DataError(
                    f"{made.store.root}: class '{label}' is in {sample.split}/ but not in train/{hint}; "
                    f"known classes: {', '.join(sorted(trained))}; move some of its images to train/, or "
                    "remove the class"
                )
