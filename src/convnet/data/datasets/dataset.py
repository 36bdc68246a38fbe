"""What a data set must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from convnet.data.audit.duplicates import Pair
from convnet.data.files.manifest import Manifest
from convnet.errors import DataError
from convnet.registry import nearest
from convnet.types import Batch, ImageShape, SplitName, TargetKind

Modality = Literal["images", "table", "series"]
"""What the samples are: pictures; rows of numbers, N×C×1×1; series of numbers, N×C×1×L."""


class Dataset(Protocol):
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
    def modality(self) -> Modality:
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
    def given_split(self) -> Sequence[SplitName] | None:
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
    def excluded(self) -> Mapping[int, str]:
        """Samples that nothing should be learnt from, and why."""
        ...

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files that were left out, each with its reason."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
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

    def sample(self, index: int) -> Batch:
        """A batch of one sample, at its own size."""
        ...

    def subset(self, indices: Tensor) -> Dataset:
        """A source of some of the samples, numbered anew."""
        ...

    def with_targets(self, targets: Tensor, classes: Sequence[str]) -> Dataset:
        """The same samples with other targets."""
        ...

    def read(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64 B): images B×C×H×W and their targets."""
        ...

    def location(self, index: int) -> str:
        """Where a sample comes from: its path, or its place in the file that holds it."""
        ...

    def class_names(self) -> list[str]:
        """The name of the class of each sample; empty where samples have none."""
        ...

    def to(self, device: torch.device) -> Dataset:
        """The same source, handing out batches that lie on `device`."""
        ...


def all_images(dataset: Dataset) -> Tensor:
    """The images of all samples at once: for tables and series, which are small."""
    return dataset.read(torch.arange(len(dataset))).images


S = TypeVar("S")


def rarest_label(targets: Tensor) -> Tensor:
    """Of several labels (N×K, 1 for each) the one that fewest samples have, int64 N; K if there is none."""
    if not targets.shape[1]:
        return torch.zeros(len(targets), dtype=torch.int64)
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


def subset_info(dataset: Dataset, indices: Tensor) -> dict[str, Any]:
    """What is known of some samples beside their images and targets, numbered anew: the fields of a part."""
    kept = indices.tolist()
    return {
        "places": [dataset.location(i) for i in kept],
        "given_split": None if dataset.given_split is None else picked(dataset.given_split, indices),
        "groups": None if dataset.groups is None else dataset.groups[indices],
        "duplicates": None if dataset.duplicates is None else dataset.duplicates[indices],
        "excluded": {new: dataset.excluded[old] for new, old in enumerate(kept) if old in dataset.excluded},
    }


def select_classes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The samples of some of the classes, which are then all there are.

    Raises:
        DataError: a name is no class, or samples have no class.
    """
    if dataset.target != "class":
        raise DataError(f"{dataset.name}: data.classes does not apply: its samples have no class each")
    for name in names:
        if name not in dataset.classes:
            raise DataError(
                f"{dataset.name}: data.classes: no class '{name}'{nearest(name, dataset.classes)}"
            )
    if len(set(names)) < max(2, len(names)):
        raise DataError(f"{dataset.name}: data.classes: name two or more different classes")
    numbers = torch.tensor([dataset.classes.index(name) for name in names])
    kept = torch.isin(dataset.targets, numbers).nonzero()[:, 0]
    renumbered = torch.zeros(len(dataset.classes), dtype=torch.int64)
    renumbered[numbers] = torch.arange(len(names))
    return dataset.subset(kept).with_targets(renumbered[dataset.targets[kept]], names)


IMBALANCE = 10


def data_warnings(
    kept: Manifest,
    data: str,
    *,
    kinds: Mapping[str, int],
    blank: int,
    pairs: Sequence[Pair] | None,
    conflicts: int,
    looked_at: int,
) -> tuple[str, ...]:
    """At most five lines: classes, what is left out, copies, what is ignored.

    `data` is how the user calls it, `kinds` count what was lost of each kind, `pairs` are None where only
    some files were looked at; in `conflicts` of them the labels differ.
    """
    counts = [count for count in kept.counts().values() if count]
    lines = [f"{len(kept):,} images, {_classes(kept, counts) if counts else 'no labels'}"]
    if kinds or blank:
        left_out = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds.items())
        parts = (
            f"left out: {left_out}" if left_out else "",
            f"not trained on: {blank:,} blank" if blank else "",
        )
        lines.append("; ".join(part for part in parts if part))
    if pairs:
        exact = sum(pair.exact for pair in pairs)
        labels = f", {conflicts:,} of them under another label" if conflicts else ""
        text = f"copies: {exact:,} exact, {len(pairs) - exact:,} near{labels}"
        lines.append(f"{text}; never on both sides of a split")
    if pairs is None:
        lines.append(f"of so many files only {looked_at} were looked at; nobody looked for copies")
    if kept.ignored:
        lines.append(f"ignored: {len(kept.ignored):,} other files and folders")
    if len(lines) > 1:
        lines.append(f"all of it, with labels that look wrong: convnet data audit {data}")
    return tuple(lines)


def _classes(kept: Manifest, counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    text = f"{len(counts)} classes of {low:,}…{high:,}"
    if high > IMBALANCE * low:
        text += f"; unbalanced, {high / low:.0f} : 1 (--balance weights, sampler or focal)"
    if kept.empty:
        text += f"; no images in {', '.join(kept.empty[:3])}{' …' if len(kept.empty) > 3 else ''}"
    return text
