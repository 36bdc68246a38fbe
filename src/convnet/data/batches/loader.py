"""`Loader`: shuffled, augmented, reproducible batches that can start at any step."""

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

PREFETCHED = 4
"""The number of batches that are prepared in advance."""
BatchTransform = Callable[[Batch, int | None], Batch]
"""Turns a batch of the data into inputs and targets; the seed determines what is random.

Without a seed every sample gets the same result in whatever batch it is.
"""


class Loader:
    """The batches of some samples of a dataset.

    The order of an epoch depends only on the seed and the epoch, and the augmentation of a batch only on the
    seed, the epoch and the position of the batch, so a resumed run sees the same batches. The last batch of a
    shuffled epoch may be smaller; it is dropped if it would hold a single image, which batch norm cannot use.

    Args:
        dataset: The data.
        indices: The samples.
        batch_size: Samples per batch.
        seed: The seed of order and augmentation. Without one, samples come in order and unaugmented.
        augment: The augmentation.
        transform: Applied last.
        weights: Relative frequencies of the samples, which are then drawn with replacement.
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
        """The batches of an epoch, starting at index `first`.

        Images that have to be decoded are prefetched in another thread.
        """
        batches = self._batches(epoch, first)
        return batches if self.dataset.info.in_memory else prefetch(batches, PREFETCHED)

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
            if not len(batch):  # none of its files can be read
                continue
            if self.seed is not None and self.augment is not None:
                seed = derived_seed(self.seed, "augment", epoch, place)
                batch = augment_batch(batch, self.augment, seed, self.dataset.info.target)
            if self.transform is not None:
                drawn = None if self.seed is None else derived_seed(self.seed, "pair", epoch, place)
                batch = self.transform(batch, drawn)
            yield batch
