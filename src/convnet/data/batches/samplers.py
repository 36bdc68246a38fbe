"""The order of the samples in an epoch, as a function of a seed."""

from __future__ import annotations

import torch
from torch import Tensor

BUFFER = 2048
"""The size of the shuffle buffer for samples in shards."""


def shuffled(indices: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation."""
    return indices[torch.randperm(len(indices), generator=generator)]


def weighted(indices: Tensor, weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draws with replacement, with probabilities in proportion to the weights."""
    return indices[torch.multinomial(weights, len(indices), True, generator=generator)]


def by_shards(indices: Tensor, shards: Tensor, generator: torch.Generator) -> Tensor:
    """Shards in random order, with their samples mixed in a buffer of `BUFFER`.

    Args:
        indices: The samples.
        shards: The number of the shard of each of them.
        generator: The source of random draws.
    """
    numbers = shards.unique()
    order = numbers[torch.randperm(len(numbers), generator=generator)]
    rank = torch.empty(int(numbers.max()) + 1, dtype=torch.int64)
    rank[order] = torch.arange(len(order))
    places = indices[rank[shards].argsort(stable=True)]
    # A random delay of each sample is the shuffle of a buffer.
    delay = torch.rand(len(places), generator=generator) * BUFFER
    return places[(torch.arange(len(places)) + delay).argsort()]
