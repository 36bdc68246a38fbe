"""Groups of samples that stay together in a split, and stratified draws of whole groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from convnet.data.datasets.dataset import Dataset, labels_of

FEW = 2
"""The share of a class, in samples, from which it is rounded by itself."""
NearCopies = Literal["group", "keep"]


def copies_of(dataset: Dataset, near_copies: NearCopies) -> Tensor | None:
    """A number per sample, equal for copies; near copies count if they are grouped."""
    info = dataset.info
    grouped = near_copies == "group" and info.near_copies is not None
    return info.near_copies if grouped else info.duplicates


def group_ids(dataset: Dataset, near_copies: NearCopies = "group") -> Tensor:
    """A number per sample, equal for samples that must stay together (groups and copies)."""
    together = (dataset.info.groups, copies_of(dataset, near_copies))
    known = [numbers for numbers in together if numbers is not None]
    if not known:
        return torch.arange(len(dataset))
    if len(known) == 1:
        return known[0]
    from scipy.sparse import bmat, coo_matrix  # imported here because it takes a quarter of a second
    from scipy.sparse.csgraph import connected_components

    groups, copies = (numbers.numpy() for numbers in known)
    shape = (int(groups.max()) + 1, int(copies.max()) + 1)
    links = bmat([[None, m := coo_matrix((np.ones(len(groups)), (groups, copies)), shape)], [m.T, None]])
    return torch.from_numpy(connected_components(links, directed=False)[1][groups].astype(np.int64))


class GroupIndex:
    """The groups among some samples.

    Attributes:
        of: The group of each sample.
        size: The number of samples of each group.
        label: The label of the first sample of each group, by which groups are stratified.
    """

    def __init__(self, dataset: Dataset, ids: Tensor, samples: Tensor) -> None:
        names, self.of = ids[samples].unique(return_inverse=True)
        self.size = torch.bincount(self.of, minlength=len(names))
        first = torch.full((len(names),), len(samples))
        first = first.scatter_reduce(0, self.of, torch.arange(len(samples)), "amin")
        self.label = labels_of(dataset)[samples[first]]

    def strata(self, generator: torch.Generator) -> Iterator[tuple[int, Tensor]]:
        """For each label the number of samples and the shuffled groups."""
        for label in self.label.unique():
            mine = (self.label == label).nonzero().flatten()
            yield int(self.size[mine].sum()), mine[torch.randperm(len(mine), generator=generator)]


def _rooms(totals: Sequence[int], fraction: float, generator: torch.Generator) -> list[int]:
    """How many samples of each class are held out, but never all.

    Classes whose share is a few samples hold out the whole part of it or one more, so that together they hold
    out their share.
    """
    rooms = [min(round(total * fraction), total - 1) for total in totals]
    small = [k for k, total in enumerate(totals) if total * fraction < FEW]
    for k in small:
        rooms[k] = min(int(totals[k] * fraction), totals[k] - 1)
    able = [k for k in small if rooms[k] < totals[k] - 1]
    wanted = round(sum(totals[k] * fraction for k in small)) - sum(rooms[k] for k in small)
    shuffled = [able[i] for i in torch.randperm(len(able), generator=generator).tolist()] if able else []
    ordered = sorted(shuffled, key=lambda k: (rooms[k] - totals[k] * fraction, -totals[k]))
    for k in ordered[: max(0, wanted)]:
        rooms[k] += 1
    return rooms


def drawn(
    dataset: Dataset, ids: Tensor, candidates: Tensor, fraction: float, generator: torch.Generator
) -> Tensor:
    """A boolean mask over `candidates` that holds out the same fraction of every class, but never all."""
    groups = GroupIndex(dataset, ids, candidates)
    held = torch.zeros(len(groups.size), dtype=torch.bool)
    strata = list(groups.strata(generator))
    for room, (_, order) in zip(
        _rooms([total for total, _ in strata], fraction, generator), strata, strict=True
    ):
        for number, size in zip(order.tolist(), groups.size[order].tolist(), strict=True):
            if size <= room:
                held[number] = True
                room -= size
            if not room:
                break
    return held[groups.of]
