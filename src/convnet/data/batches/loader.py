"""From a source to batches: shuffled, augmented, reproducible, and able to start anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from convnet.data.batches.augment.augment import Augment, augment_batch
from convnet.data.batches.prefetch import prefetch
from convnet.data.batches.samplers import by_shards, shuffled, weighted
from convnet.data.datasets.dataset import Dataset
from convnet.device import derived_seed
from convnet.types import Batch

AHEAD = 4
"""Batches that are ready before they are needed."""
BatchTransform = Callable[[Batch, int | None], Batch]
"""Makes what a network is given, and what it should say, of a batch; the seed decides what is random.

Without a seed every sample gets the same each time, whatever batch it is in.
"""


class Loader:
    """The batches of some samples of a source, epoch after epoch.

    With a `seed`, an epoch is a permutation that depends on the seed and the epoch alone, and the
    augmentation of a batch on the seed, the epoch and the place of the batch: a run that goes on from any
    step sees what it would have seen. With `weights`, one for each sample, an epoch is as many samples drawn
    again and again, with probabilities in that proportion. Shards are read one after the other, mixed in a
    buffer. Without a seed the samples come in
    order, unaugmented. `transform` comes last.

    The last batch of a shuffled epoch is smaller than the others; it is dropped if it would hold a single
    image, which batch norm cannot use.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Tensor,
        batch_size: int,
        *,
        seed: int | None = None,
        augment: Augment | None = None,
        transform: BatchTransform | None = None,
        weights: Tensor | None = None,
    ) -> None:
        self.dataset = dataset
        crops = augment.crops if augment is not None and seed is not None else 1
        self.indices = indices.repeat(crops)
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment if augment != Augment() else None
        self.transform = transform
        self.weights = None if weights is None else weights.repeat(crops)
        count = len(self.indices)
        drop = seed is not None and count % batch_size == 1 and count > 1
        self.steps = -(-count // batch_size) - drop

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch number `epoch`, from the one at place `first` on.

        Where images have to be decoded, that and the augmentation happen ahead, in another thread.
        """
        batches = self._batches(epoch, first)
        return batches if self.dataset.info.in_memory else prefetch(batches, AHEAD)

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        order = self.indices
        if self.seed is not None:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
            if self.weights is not None:
                order = weighted(order, self.weights, generator)
            elif self.dataset.info.shards is not None:
                order = by_shards(order, self.dataset.info.shards[order], generator)
            else:
                order = shuffled(order, generator)
        for place in range(first, self.steps):
            batch = self.dataset.read(order[place * self.batch_size : (place + 1) * self.batch_size])
            if self.seed is not None and self.augment is not None:
                batch = augment_batch(batch, self.augment, derived_seed(self.seed, "augment", epoch, place))
            if self.transform is not None:
                drawn = None if self.seed is None else derived_seed(self.seed, "pair", epoch, place)
                batch = self.transform(batch, drawn)
            if len(batch):
                yield batch
