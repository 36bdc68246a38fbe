"""What a split must not tear apart, and how it is drawn: stratified by the label of the first of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from convnet.data.datasets.dataset import Dataset, labels_of


def group_ids(dataset: Dataset) -> Tensor:
    """A number for each sample, the same for those that must not be torn apart."""
    known = [numbers for numbers in (dataset.info.groups, dataset.info.duplicates) if numbers is not None]
    if not known:
        return torch.arange(len(dataset))
    if len(known) == 1:
        return known[0]
    from scipy.sparse import bmat, coo_matrix  # a quarter of a second, only where there are both
    from scipy.sparse.csgraph import connected_components

    groups, copies = (numbers.numpy() for numbers in known)
    shape = (int(groups.max()) + 1, int(copies.max()) + 1)
    links = bmat([[None, m := coo_matrix((np.ones(len(groups)), (groups, copies)), shape)], [m.T, None]])
    return torch.from_numpy(connected_components(links, directed=False)[1][groups].astype(np.int64))


class GroupIndex:
    """The units among some samples: `of` each sample its unit, `size` of each, by the label of the first."""

    def __init__(self, dataset: Dataset, units: Tensor, samples: Tensor) -> None:
        names, self.of = units[samples].unique(return_inverse=True)
        self.size = torch.bincount(self.of, minlength=len(names))
        first = torch.full((len(names),), len(samples))
        first = first.scatter_reduce(0, self.of, torch.arange(len(samples)), "amin")
        self.label = labels_of(dataset)[samples[first]]

    def strata(self, generator: torch.Generator) -> Iterator[tuple[int, Tensor]]:
        """The units of each label, shuffled, and how many samples they have."""
        for label in self.label.unique():
            mine = (self.label == label).nonzero().flatten()
            yield int(self.size[mine].sum()), mine[torch.randperm(len(mine), generator=generator)]


def drawn(
    dataset: Dataset, units: Tensor, candidates: Tensor, fraction: float, generator: torch.Generator
) -> Tensor:
    """A boolean mask over `candidates`: the same share of every class, at least one left in each."""
    unit = GroupIndex(dataset, units, candidates)
    held = torch.zeros(len(unit.size), dtype=torch.bool)
    for total, order in unit.strata(generator):
        room = min(round(total * fraction), total - 1)
        for number, size in zip(order.tolist(), unit.size[order].tolist(), strict=True):
            if size <= room:
                held[number] = True
                room -= size
            if not room:
                break
    return held[unit.of]
