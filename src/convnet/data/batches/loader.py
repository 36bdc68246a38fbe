"""`Loader`: shuffled, augmented, reproducible batches that can start at any step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

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
        self._parts = [_Part(0, 0, batch_size)]
        self.seed = seed
        self.augment = augment if augment != Augment() else None
        self.transform = transform
        self.weights = None if weights is None else weights.repeat(crops)

    @property
    def batch_size(self) -> int:
        """Samples per batch, from the next batch on."""
        return self._parts[-1].batch_size

    @property
    def steps(self) -> int:
        """The number of batches of the current epoch."""
        part = self._parts[-1]
        left = len(self.indices) - part.sample
        drop = self.seed is not None and left % part.batch_size == 1 and len(self.indices) > 1
        return part.batch + -(-left // part.batch_size) - drop

    def resize(self, batch_size: int, first: int = 0) -> None:
        """Change the batch size, from a batch of the current epoch on.

        Args:
            batch_size: Samples per batch.
            first: The index of the first batch of that size.
        """
        kept = [part for part in self._parts if part.batch < first]
        sample = min(kept[-1].start(first), len(self.indices)) if kept else 0
        self._parts = [*kept, _Part(first, sample, batch_size)]

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, starting at index `first`.

        Images that have to be decoded are prefetched in another thread.
        """
        if not first:
            self.resize(self.batch_size)
        if self.dataset.info.in_memory:
            yield from (batch for _, batch in self._batches(epoch, first))
            return
        place: int | None = first
        while place is not None:
            place = yield from self._prefetched(epoch, place)

    def _prefetched(self, epoch: int, first: int) -> Generator[Batch, None, int | None]:
        """Prefetched batches; returns the index of the next one if the batch size was changed, else None."""
        parts = self._parts
        with closing(prefetch(self._batches(epoch, first), PREFETCHED)) as batches:
            for place, batch in batches:
                yield batch
                if self._parts is not parts:
                    return place + 1
        return None

    def _batches(self, epoch: int, first: int) -> Generator[tuple[int, Batch], None, None]:
        """The batches with their indices; changes of the batch size are taken into account."""
        order = self.indices
        if self.seed is not None:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
            if self.weights is not None:
                order = weighted(order, self.weights, generator)
            elif self.dataset.info.shards is not None:
                order = by_shards(order, self.dataset.info.shards[order], generator)
            else:
                order = shuffled(order, generator)
        place = first - 1
        while (place := place + 1) < self.steps:
            part = next(part for part in reversed(self._parts) if part.batch <= place)
            start = part.start(place)
            batch = self.dataset.read(order[start : start + part.batch_size])
            if not len(batch):  # none of its files can be read
                continue
            if self.seed is not None and self.augment is not None:
                seed = derived_seed(self.seed, "augment", epoch, place)
                batch = augment_batch(batch, self.augment, seed, self.dataset.info.target)
            if self.transform is not None:
                drawn = None if self.seed is None else derived_seed(self.seed, "pair", epoch, place)
                batch = self.transform(batch, drawn)
            yield place, batch


@dataclass(frozen=True)
class _Part:
    """A part of an epoch: its first batch, its first sample, and the batch size."""

    batch: int
    sample: int
    batch_size: int

    def start(self, batch: int) -> int:
        """The position of the first sample of a batch."""
        return self.sample + (batch - self.batch) * self.batch_size
