"""Which samples are trained on, watched, and tested on: stratified, seeded, written to `split.csv`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import model_validator
from torch import Tensor

from convnet.data.datasets.dataset import Dataset, class_names, labels_of, location
from convnet.data.files.image_csv import UNUSED
from convnet.data.splits.groups import GroupIndex, drawn, group_ids
from convnet.errors import DataError, RecipeError
from convnet.registry import Count, CountOrZero, Fraction, Section
from convnet.targets import MULTI_HOT
from convnet.types import SplitName

DEFAULT_FRACTION = 0.1
NAMES: tuple[SplitName, ...] = ("train", "val", "test")
Members = dict[SplitName, Tensor]


class SplitOptions(Section):
    """Shares of the samples that are held out.

    None means: the data's own split where it has one, else a tenth. A share for a split that the data
    brings along is an error: its makers' split is used as it is. Of the training samples that remain,
    `per_class` of each class are used, if given: what few labels teach.

    With `folds`, all samples but those of a test split that the data brings along are dealt out to so many
    parts; part number `fold` is the test split, and nothing is held out for validation unless `val` says so.
    """

    val: Fraction | None = None
    test: Fraction | None = None
    per_class: Count | None = None
    folds: Annotated[int, Ge(2)] | None = None
    fold: CountOrZero | None = None
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> SplitOptions:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("split.folds and split.fold go together; train --folds sets both")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"split.fold={self.fold}: the folds are 0…{self.folds - 1}")
        if self.folds is not None and self.test is not None:
            raise ValueError("split.test does not apply: with split.folds the test split is a fold")
        return self


@dataclass(frozen=True)
class Split:
    """Positions of the samples in their source, int64 and ascending; `val` and `test` may be empty."""

    train: Tensor
    val: Tensor
    test: Tensor

    def __getitem__(self, name: SplitName) -> Tensor:
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def make_split(dataset: Dataset, options: SplitOptions) -> Split:
    """Follow the data's own split, and hold out stratified, seeded shares for what it lacks.

    The test split of a set is never touched; a validation split is taken out of its training samples. A
    folder that brings `val/` but no `test/` is not robbed of training images for a test split.

    Samples of one group, and copies of one picture, stay on one side. Where the data's own split has copies
    on both sides, those that would be trained on are used for nothing, and so are unfit samples.

    Raises:
        RecipeError: a share is given for a split that the data has, or leaves nothing to train on.
        DataError: a class has a single sample, or the data's own split tears a group apart.
    """
    units = group_ids(dataset)
    given = dataset.info.given_split or ["train"] * len(dataset)
    members = {
        name: torch.tensor([i for i, s in enumerate(given) if s == name], dtype=torch.int64) for name in NAMES
    }
    _require_whole_groups(dataset, members)
    if options.folds is not None:
        members = _fold(dataset, units, members, options)
    brings_own = bool(len(members["val"]) or len(members["test"]))
    if brings_own:
        members = _without_copies(dataset, members)
    candidates = members["train"]
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
        if share:
            _require_pairs(dataset, candidates)
        generator = torch.Generator().manual_seed(options.seed * 2 + offset)
        held = drawn(dataset, units, members["train"], share, generator)
        if not held.any() and round(len(held) * share) and len(units.unique()) < len(units):
            raise RecipeError(
                f"nothing of {dataset.info.name} can be held out for {name} without tearing groups apart; "
                f"make smaller groups, or do without: --set split.{name}=0"
            )
        members[name], members["train"] = members["train"][held], members["train"][~held]
    fit = torch.tensor([i not in dataset.info.excluded for i in members["train"].tolist()], dtype=torch.bool)
    members["train"] = members["train"][fit]
    if options.per_class is not None:
        generator = torch.Generator().manual_seed(options.seed * 2)
        members["train"] = _few(dataset, members["train"], options.per_class, generator)
    if not len(members["train"]):
        raise RecipeError(
            f"the split leaves nothing of {dataset.info.name} ({len(dataset)} samples) to train on"
        )
    return Split(members["train"], members["val"], members["test"])


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


def _without_copies(dataset: Dataset, members: Members) -> Members:
    """What is trained on has no copy among what is held out, nor the validation one in the test split."""
    if dataset.info.duplicates is None:
        return members
    kept, held = dict(members), torch.tensor([], dtype=torch.int64)
    for name in reversed(NAMES):
        numbers = dataset.info.duplicates[members[name]]
        kept[name] = members[name][~torch.isin(numbers, held)]
        held = torch.cat([held, numbers])
    return kept


def _fold(dataset: Dataset, units: Tensor, members: Members, options: SplitOptions) -> Members:
    """One of the folds as the test split, the others to train on; a test split of the data is left out."""
    assert options.folds is not None
    pool = torch.cat([members["train"], members["val"]]).sort().values
    generator = torch.Generator().manual_seed(options.seed * 2)
    unit = GroupIndex(dataset, units, pool)
    dealt = torch.zeros(len(unit.size), dtype=torch.int64)
    sizes = [0] * options.folds
    for _, order in unit.strata(generator):
        same = [0] * options.folds  # of this class; of equals the smallest fold
        for number, size in zip(order.tolist(), unit.size[order].tolist(), strict=True):
            dealt[number] = smallest = min(range(options.folds), key=lambda k: (same[k], sizes[k]))
            same[smallest] += size
            sizes[smallest] += size
    if not all(sizes):
        raise RecipeError(
            f"split.folds={options.folds} is more than {dataset.info.name} has separate samples"
        )
    test = dealt[unit.of] == options.fold
    none = torch.tensor([], dtype=torch.int64)
    return {"train": pool[~test], "val": none, "test": pool[test]}


def _require_pairs(dataset: Dataset, candidates: Tensor) -> None:
    """A class of one sample cannot be both learnt and held out."""
    if dataset.info.target is MULTI_HOT:
        return
    labels = labels_of(dataset)[candidates]
    counts = torch.bincount(labels, minlength=len(dataset.info.classes))
    for label in (counts == 1).nonzero().flatten().tolist():
        place = location(dataset, int(candidates[labels == label][0]))
        what = f"class '{dataset.info.classes[label]}' has" if dataset.info.target.exclusive else "there is"
        raise DataError(
            f"{dataset.info.name}: {what} a single sample ({place}), which cannot be "
            "both learnt and held out; add more, remove the class, or hold nothing out "
            "(--set split.val=0 --set split.test=0)"
        )


def _few(dataset: Dataset, candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of each class, ascending.

    Raises:
        RecipeError: a class has fewer.
    """
    if not dataset.info.target.exclusive:
        raise RecipeError(
            f"split.per_class does not apply: the samples of {dataset.info.name} have no class each"
        )
    labels, chosen = labels_of(dataset)[candidates], []
    for number, name in enumerate(dataset.info.classes):
        members = candidates[labels == number]
        if len(members) < count:
            raise RecipeError(f"split.per_class={count}: class '{name}' has {len(members)} training samples")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values


def write_split(split: Split, dataset: Dataset) -> str:
    """CSV text with a row per sample: index, split (or "unused"), class, and where the sample comes from."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; names with line breaks are then quoted
    writer.writerow(["index", "split", "class", "sample"])
    names = {i: name for name in NAMES for i in split[name].tolist()}
    classes = class_names(dataset)
    for index in range(len(dataset)):
        writer.writerow([index, names.get(index, UNUSED), classes[index], location(dataset, index)])
    return text.getvalue()


def read_split(text: str, dataset: Dataset) -> Split:
    """The split that `write_split` wrote.

    Raises:
        DataError: the samples are no longer those that were split.
    """
    members: dict[str, list[int]] = {name: [] for name in (*NAMES, UNUSED)}
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        for row in rows:
            members[row["split"]].append(int(row["index"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"split.csv is damaged ({error!r}); start a new run") from error
    there = [(str(i), label, location(dataset, i)) for i, label in enumerate(class_names(dataset))]
    then = [(row["index"], row["class"], row["sample"]) for row in rows]
    if then != there:
        raise DataError(
            f"{dataset.info.name} has changed since the run began: {_difference(then, there)}; "
            "restore the data, or start a new run"
        )
    return Split(*(torch.tensor(members[name], dtype=torch.int64) for name in NAMES))


def _difference(then: list[tuple[str, str, str]], there: list[tuple[str, str, str]]) -> str:
    """The first sample (index, class, place) that went, came, or has another class."""
    before, now = ({place: label for _, label, place in rows} for rows in (then, there))
    gone, new = ([p for p in one if p not in other] for one, other in ((before, now), (now, before)))
    if gone:
        return f"{gone[0]} ({before[gone[0]]}) is no longer there"
    if new:
        return f"{new[0]} is new" + (f", and {len(new) - 1} others" if len(new) > 1 else "")
    changed = next((place for place in before if before[place] != now[place]), None)
    return f"{changed} is now '{now[changed]}'" if changed else "its samples have another order"
