"""What is said about a split: classes and samples that it lacks or does not use, and why."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from convnet.data.datasets.dataset import Dataset, labels_of
from convnet.data.splits.groups import NearCopies, group_ids
from convnet.types import SplitName

Members = Mapping[SplitName, Tensor]
"""The sample indices of each split."""


def cannot_hold_out(dataset: Dataset, ids: Tensor, name: SplitName) -> str:
    """Why no sample can be held out."""
    if dataset.info.groups is None:
        why = "all samples of a class are copies"
        if len(ids.unique()) < len(group_ids(dataset, "keep").unique()):
            why += "; count near copies as different samples (--set split.near_copies=keep)"
    else:
        why = "no part can be held out without dividing groups; make smaller groups"
    return (
        f"{dataset.info.name}: no {name} split is possible: {why}, or hold nothing out (--set split.{name}=0)"
    )


def lacking_classes(dataset: Dataset, members: Members, name: SplitName) -> list[str]:
    """A line about the classes that are too small to be in a split."""
    if not dataset.info.target.exclusive:
        return []
    labels, count = labels_of(dataset), len(dataset.info.classes)
    there = torch.bincount(labels[members[name]], minlength=count) > 0
    known = torch.bincount(labels[torch.cat(list(members.values()))], minlength=count) > 0
    lacking = [dataset.info.classes[k] for k in (known & ~there).nonzero().flatten().tolist()]
    if not lacking:
        return []
    names = ", ".join(lacking[:3]) + (" …" if len(lacking) > 3 else "")
    split = {"val": "validation"}.get(name, name)
    return [f"{len(lacking):,} of {count:,} classes have too few samples for the {split} split: {names}"]


def untested_classes(dataset: Dataset, ids: Tensor, members: Members) -> list[str]:
    """A line about classes that no fold tests, because they have a single sample."""
    if not dataset.info.target.exclusive:
        return []
    labels, count = labels_of(dataset), len(dataset.info.classes)
    pool = torch.cat([members["train"], members["test"]])
    groups = torch.stack([ids[pool], labels[pool]], 1).unique(dim=0)[:, 1]
    single = (torch.bincount(groups, minlength=count) == 1).nonzero().flatten().tolist()
    if not single:
        return []
    names = ", ".join(dataset.info.classes[k] for k in single[:3]) + (" …" if len(single) > 3 else "")
    return [f"{len(single):,} of {count:,} classes have a single sample, which no fold tests: {names}"]


def about_copies(dataset: Dataset, near_copies: NearCopies) -> list[str]:
    """What is done about copies, if there are any."""
    exact, near = (
        numbers is not None and len(numbers.unique()) < len(numbers)
        for numbers in (dataset.info.duplicates, dataset.info.near_copies)
    )
    if not near:
        return []
    if near_copies == "group":
        return ["copies are kept in one split"]
    kept = "exact copies are kept in one split; " if exact else ""
    return [f"{kept}near copies count as different samples"]


def why_not_trained(dataset: Dataset, members: Members, samples: Tensor) -> str:
    """Why samples are not trained on, in words."""
    held = torch.cat([members["val"], members["test"]])
    rest = samples[~torch.isin(samples, held)]
    blank = torch.tensor([i in dataset.info.excluded for i in rest.tolist()], dtype=torch.bool)
    copies = rest[~blank]
    exact = dataset.info.duplicates
    same = torch.isin(exact[copies], exact[held]) if exact is not None else torch.ones(len(copies))
    parts = {
        "held out": len(samples) - len(rest),
        "blank (--set split.keep_blank=true uses them)": int(blank.sum()),
        "copies of held-out samples": int(same.sum()),
        "near copies of held-out samples (--set split.near_copies=keep uses them)": len(copies)
        - int(same.sum()),
    }
    return ", ".join(f"{number:,} are {what}" for what, number in parts.items() if number)
