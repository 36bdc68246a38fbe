"""Which samples are trained on, watched, and tested on: stratified, seeded, written to `split.csv`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from convnet.data.source import Source
from convnet.errors import DataError, RecipeError
from convnet.schema import Count, Fraction, Section
from convnet.types import SplitName

DEFAULT_FRACTION = 0.1
NAMES: tuple[SplitName, ...] = ("train", "val", "test")
UNUSED = "unused"


class SplitOptions(Section):
    """Shares of the samples that are held out.

    None means: the data's own split where it has one, else a tenth. A share for a split that the data
    brings along is an error: its makers' split is used as it is. Of the training samples that remain,
    `per_class` of each class are used, if given: what few labels teach.
    """

    val: Fraction | None = None
    test: Fraction | None = None
    per_class: Count | None = None
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0


@dataclass(frozen=True)
class Split:
    """Positions of the samples in their source, int64 and ascending; `val` and `test` may be empty."""

    train: Tensor
    val: Tensor
    test: Tensor

    def __getitem__(self, name: SplitName) -> Tensor:
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def make_split(source: Source, options: SplitOptions) -> Split:
    """Follow the data's own split, and hold out stratified, seeded shares for what it lacks.

    The test split of a set is never touched; a validation split is taken out of its training samples. A
    folder that brings `val/` but no `test/` is not robbed of training images for a test split.

    Raises:
        RecipeError: a share is given for a split that the data has, or leaves nothing to train on.
        DataError: a class has a single sample.
    """
    given = source.partition or ["train"] * len(source)
    members = {
        name: torch.tensor([i for i, s in enumerate(given) if s == name], dtype=torch.int64) for name in NAMES
    }
    brings_own = bool(len(members["val"]) or len(members["test"]))
    candidates = members["train"]
    shares: dict[SplitName, float | None] = {"test": options.test, "val": options.val}
    for offset, (name, share) in enumerate(shares.items()):
        if len(members[name]):
            if share is not None:
                raise RecipeError(
                    f"split.{name}={share} does not apply: {source.name} has its own {name} split"
                )
            continue
        if share is None:
            share = 0.0 if name == "test" and brings_own else DEFAULT_FRACTION
        if share:
            _require_pairs(source, candidates)
        generator = torch.Generator().manual_seed(options.seed * 2 + offset)
        held = _stratified(source.labels, members["train"], share, generator)
        members[name], members["train"] = members["train"][held], members["train"][~held]
    if options.per_class is not None:
        generator = torch.Generator().manual_seed(options.seed * 2)
        members["train"] = _few(source, members["train"], options.per_class, generator)
    if not len(members["train"]):
        raise RecipeError(f"the split leaves nothing of {source.name} ({len(source)} samples) to train on")
    return Split(members["train"], members["val"], members["test"])


def _require_pairs(source: Source, candidates: Tensor) -> None:
    """A class of one sample cannot be both learnt and held out."""
    labels = source.labels[candidates]
    counts = torch.bincount(labels, minlength=len(source.classes))
    for label in (counts == 1).nonzero().flatten().tolist():
        place = source.describe(int(candidates[labels == label][0]))
        what = f"class '{source.classes[label]}' has" if source.target == "class" else "there is"
        raise DataError(
            f"{source.name}: {what} a single sample ({place}), which cannot be "
            "both learnt and held out; add more, remove the class, or hold nothing out "
            "(--set split.val=0 --set split.test=0)"
        )


def _stratified(targets: Tensor, candidates: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """A boolean mask over `candidates`: the same share of every class, at least one left in each."""
    held = torch.zeros(len(candidates), dtype=torch.bool)
    labels = targets[candidates]
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        count = min(round(len(places) * fraction), len(places) - 1)
        held[places[torch.randperm(len(places), generator=generator)[:count]]] = True
    return held


def _few(source: Source, candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of each class, ascending.

    Raises:
        RecipeError: a class has fewer.
    """
    if source.target != "class":
        raise RecipeError(f"split.per_class does not apply: the samples of {source.name} have no class each")
    labels, chosen = source.labels[candidates], []
    for number, name in enumerate(source.classes):
        members = candidates[labels == number]
        if len(members) < count:
            raise RecipeError(f"split.per_class={count}: class '{name}' has {len(members)} training samples")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values


def write_split(split: Split, source: Source) -> str:
    """CSV text with a row per sample: index, split (or "unused"), class, and where the sample comes from."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; names with line breaks are then quoted
    writer.writerow(["index", "split", "class", "sample"])
    names = {int(i): name for name in NAMES for i in split[name]}
    classes = source.class_names()
    for index in range(len(source)):
        writer.writerow([index, names.get(index, UNUSED), classes[index], source.describe(index)])
    return text.getvalue()


def read_split(text: str, source: Source) -> Split:
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
    there = [(str(i), label, source.describe(i)) for i, label in enumerate(source.class_names())]
    then = [(row["index"], row["class"], row["sample"]) for row in rows]
    if then != there:
        first = next((a for a, b in zip_longest(then, there) if a != b), None)
        what = (
            f"{first[2]} ({first[1]}) is no longer there"
            if first
            else f"{len(there) - len(then)} samples are new"
        )
        raise DataError(
            f"{source.name} has changed since the run began: {what}; restore the data, or start a new run"
        )
    return Split(*(torch.tensor(members[name], dtype=torch.int64) for name in NAMES))
