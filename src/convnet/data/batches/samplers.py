"""In which order an epoch sees its samples: every one once, as a function of a seed."""

from __future__ import annotations

import torch
from torch import Tensor

from convnet.errors import DataError

BUFFER = 2048
"""Samples that wait to be drawn from, where they are read shard by shard."""


def shuffled(indices: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation."""
    return indices[torch.randperm(len(indices), generator=generator)]


def weighted(indices: Tensor, weights: Tensor, generator: torch.Generator) -> Tensor:
    """As many samples, drawn again and again with probabilities in proportion to the weights."""
    return indices[torch.multinomial(weights, len(indices), True, generator=generator)]


def by_shards(
    indices: Tensor, shards: Tensor, generator: torch.Generator, rank: int = 0, world: int = 1
) -> Tensor:
    """Shards in random order, the samples of each drawn at random from a buffer of `BUFFER`.

    `shards` numbers the shard of each of the indices. What is read together lies together, but for the
    buffer. Of `world` processes each reads shards of its own, and as many samples as the others: the last
    ones of some are left out, the first ones of others come twice.

    Raises:
        DataError: there are fewer shards than processes.
    """
    numbers = shards.unique()
    if len(numbers) < world:
        raise DataError(f"{len(numbers)} shards for {world} processes; write more, smaller ones")
    order = numbers[torch.randperm(len(numbers), generator=generator)]
    rank_of_shard = torch.empty(int(numbers.max()) + 1, dtype=torch.int64)
    rank_of_shard[order] = torch.arange(len(order))
    ranks = rank_of_shard[shards]
    own = ranks % world == rank
    places = indices[own][ranks[own].argsort(stable=True)]
    # A sample leaves the buffer a random while after it came in: that is the shuffle of a buffer.
    delay = torch.rand(len(places), generator=generator) * BUFFER
    mixed = places[(torch.arange(len(places)) + delay).argsort()]
    count = -(-len(indices) // world) if world > 1 else len(indices)
    return mixed.repeat(-(-count // len(mixed)))[:count]
