"""Stratified, seeded splits into training, validation and test samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import model_validator
from torch import Tensor

from convnet.data.datasets.dataset import Dataset, labels_of, location
from convnet.data.splits.groups import GroupIndex, NearCopies, copies_of, drawn, group_ids
from convnet.data.splits.remarks import (
    about_copies,
    cannot_hold_out,
    lacking_classes,
    untested_classes,
    why_not_trained,
)
from convnet.errors import DataError, RecipeError
from convnet.registry import Count, CountOrZero, Fraction, Section
from convnet.types import SplitName

DEFAULT_FRACTION = 0.1
NAMES: tuple[SplitName, ...] = ("train", "val", "test")
Members = dict[SplitName, Tensor]


class SplitOptions(Section):
    """The `split` section of a recipe. A split given by the data is always used as it is.

    Attributes:
        val: The validation fraction of the samples that the test split leaves. Default: the data's own split,
            else 0.1.
        test: The test fraction. Default: the data's own split, else 0.1.
        per_class: The number of training samples per class that are used. Default: all.
        folds: The number of folds of a cross-validation. A test split given by the data is left out, and
            `val` is 0 by default.
        fold: The fold that is the test split.
        near_copies: Whether near copies (resized, compressed again, cropped) stay in one split ("group"), or
            count as different samples ("keep").
        keep_blank: Whether blank images are used for training.
        seed: The seed of the split.
    """

    val: Fraction | None = None
    test: Fraction | None = None
    per_class: Count | None = None
    folds: Annotated[int, Ge(2)] | None = None
    fold: CountOrZero | None = None
    near_copies: NearCopies = "group"
    keep_blank: bool = False
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> SplitOptions:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("split.folds and split.fold go together; train --folds sets both")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"split.fold={self.fold}: the folds are 0…{self.folds - 1}")
        if self.folds is not None and self.test is not None:
            raise ValueError("split.test does not apply with split.folds, where the test split is a fold")
        return self


@dataclass(frozen=True, repr=False)
class Split:
    """Sample indices of the splits, int64, ascending; `val` and `test` may be empty.

    Attributes:
        train: The training samples.
        val: The validation samples.
        test: The test samples.
        remarks: Lines about the split, shown before training.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Split: {len(self.train):,}/{len(self.val):,}/{len(self.test):,} samples (train/val/test)"

    def __getitem__(self, name: SplitName) -> Tensor:
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def among(self, chosen: Tensor) -> Split:
        """The split without the samples that are not `chosen`, bool N."""
        train, val, test = (part[chosen[part]] for part in (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test)


def make_split(dataset: Dataset, options: SplitOptions) -> Split:
    """Split a dataset: use its given split, and hold out stratified, seeded fractions for what it lacks.

    A missing validation split is taken from the training samples. Data with a validation split but no test
    split gets no test split. Groups and copies stay on one side; where the given split has copies on both
    sides, the training copies are not used, and neither are excluded samples. The only sample of a class is
    trained on.

    Args:
        dataset: The data.
        options: Fractions, folds and seed.

    Returns:
        The indices of each split, and lines about samples that are not used.

    Raises:
        RecipeError: A fraction is given for a split that the data has, or nothing is left for training.
        DataError: A class loses all its training samples, or the given split divides a group.
    """
    ids = group_ids(dataset, options.near_copies)
    given = dataset.info.given_split or ["train"] * len(dataset)
    members = {
        name: torch.tensor([i for i, s in enumerate(given) if s == name], dtype=torch.int64) for name in NAMES
    }
    _require_whole_groups(dataset, members)
    if options.folds is not None:
        members = _fold(dataset, ids, members, options)
    brings_own = bool(len(members["val"]) or len(members["test"]))
    remarks = about_copies(dataset, options.near_copies)
    if options.folds is not None:
        remarks += untested_classes(dataset, ids, members)
    if brings_own:
        members, dropped = _without_copies(dataset, members, options)
        remarks += dropped
    shares: dict[SplitName, float | None] = {"test": options.test, "val": options.val}
    for offset, (name, share) in enumerate(shares.items()):
        if len(members[name]):
            if share is not None:
                raise RecipeError(
                    f"split.{name}={share} does not apply: {dataset.info.name} has its own {name} split"
                )
            continue
        if share is None:
            share = 0.0 if options.folds or (name == "test" and brings_own) else DEFAULT_FRACTION
        generator = torch.Generator().manual_seed(options.seed * 2 + offset)
        held = drawn(dataset, ids, members["train"], share, generator)
        if not held.any() and round(len(held) * share) and len(ids.unique()) < len(ids):
            raise RecipeError(cannot_hold_out(dataset, ids, name))
        members[name], members["train"] = members["train"][held], members["train"][~held]
        remarks += lacking_classes(dataset, members, name) if share else []
    if not options.keep_blank:
        kept = _without_excluded(dataset, members["train"])
        if blank := len(members["train"]) - len(kept):
            remarks.append(
                f"{blank:,} blank training samples are not used; --set split.keep_blank=true uses them"
            )
        members["train"] = kept
    _require_trained(dataset, members)
    if options.per_class is not None:
        generator = torch.Generator().manual_seed(options.seed * 2)
        members["train"] = _few(dataset, members["train"], options.per_class, generator)
    return Split(members["train"], members["val"], members["test"], tuple(remarks))


def _without_excluded(dataset: Dataset, train: Tensor) -> Tensor:
    """The training samples that are not excluded (blank images)."""
    fit = torch.tensor([i not in dataset.info.excluded for i in train.tolist()], dtype=torch.bool)
    return train[fit]


def _require_trained(dataset: Dataset, members: Members) -> None:
    """Check that every class that has samples is trained on.

    Raises:
        DataError: One is not; the message says where its samples are.
    """
    name = dataset.info.name
    if not len(members["train"]):
        why = why_not_trained(dataset, members, torch.arange(len(dataset)))
        raise DataError(
            f"{name}: the split leaves no training samples: of its {len(dataset):,} samples {why}. Add "
            "training samples, or hold out fewer"
        )
    if not dataset.info.target.exclusive:
        return
    labels, count = labels_of(dataset), len(dataset.info.classes)
    trained = torch.bincount(labels[members["train"]], minlength=count)
    lost = ((torch.bincount(labels, minlength=count) > 0) & (trained == 0)).nonzero().flatten().tolist()
    if lost:
        mine = (labels == lost[0]).nonzero().flatten()
        raise DataError(
            f"{name}: class '{dataset.info.classes[lost[0]]}' has no training sample: of its {len(mine):,} "
            f"samples {why_not_trained(dataset, members, mine)}. Add training samples, or choose other "
            "classes (data.classes)"
        )


def _require_whole_groups(dataset: Dataset, members: Members) -> None:
    if dataset.info.groups is None or dataset.info.given_split is None:
        return
    for one, other in combinations(NAMES, 2):
        torn = set(dataset.info.groups[members[one]].tolist()) & set(
            dataset.info.groups[members[other]].tolist()
        )
        if torn:
            place = int((dataset.info.groups == min(torn)).nonzero()[0])
            raise DataError(
                f"{dataset.info.name}: the group of {location(dataset, place)} is in {one} and in {other}; "
                "leave the splits out, or keep groups together"
            )


def _without_copies(dataset: Dataset, members: Members, options: SplitOptions) -> tuple[Members, list[str]]:
    """Remove training samples with copies in held-out splits, and validation samples with test copies."""
    copies = copies_of(dataset, options.near_copies)
    if copies is None:
        return members, []
    kept, held, remarks = dict(members), torch.tensor([], dtype=torch.int64), []
    for name in reversed(NAMES):
        numbers = copies[members[name]]
        kept[name] = members[name][~torch.isin(numbers, held)]
        held = torch.cat([held, numbers])
        left_out = len(members[name]) - len(kept[name])
        if left_out:
            above = "held-out" if name == "train" else "test"
            grouped = options.near_copies == "group" and dataset.info.near_copies is not None
            way_out = "; --set split.near_copies=keep uses near copies" if grouped else ""
            split = {"val": "validation", "train": "training"}.get(name, name)
            remarks.append(
                f"{left_out:,} {split} samples are copies of {above} samples and are not used{way_out}"
            )
    return kept, remarks


def _fold(dataset: Dataset, ids: Tensor, members: Members, options: SplitOptions) -> Members:
    """One fold as the test split and the others for training, without the data's own test split."""
    assert options.folds is not None
    pool = torch.cat([members["train"], members["val"]]).sort().values
    generator = torch.Generator().manual_seed(options.seed * 2)
    groups = GroupIndex(dataset, ids, pool)
    if options.folds > len(groups.size):
        raise RecipeError(_too_many_folds(dataset, options.folds))
    dealt = torch.full((len(groups.size),), -1)
    sizes = [0] * options.folds
    for _, order in groups.strata(generator):
        if len(order) == 1 and dataset.info.target.exclusive:
            continue  # nothing of the class would be left for training
        same = [0] * options.folds  # of this class; ties go to the smallest fold
        for number, size in zip(order.tolist(), groups.size[order].tolist(), strict=True):
            dealt[number] = smallest = min(range(options.folds), key=lambda k: (same[k], sizes[k]))
            same[smallest] += size
            sizes[smallest] += size
    if not all(sizes):
        raise RecipeError(_too_many_folds(dataset, options.folds))
    test = dealt[groups.of] == options.fold
    none = torch.tensor([], dtype=torch.int64)
    return {"train": pool[~test], "val": none, "test": pool[test]}


def _too_many_folds(dataset: Dataset, folds: int) -> str:
    return f"split.folds={folds} exceeds the number of separate samples of {dataset.info.name}"


def _few(dataset: Dataset, candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` samples of each class, ascending.

    Raises:
        RecipeError: A class has fewer samples.
    """
    if not dataset.info.target.exclusive:
        raise RecipeError(
            f"split.per_class does not apply: samples of {dataset.info.name} do not have one class each"
        )
    labels, chosen = labels_of(dataset)[candidates], []
    for number, name in enumerate(dataset.info.classes):
        members = candidates[labels == number]
        if len(members) < count:
            raise RecipeError(f"split.per_class={count}: class '{name}' has {len(members)} training samples")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values
