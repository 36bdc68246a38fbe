from __future__ import annotations

from dataclasses import replace

import torch

import convnet
from convnet.data import Augment, Dataset, Loader
from convnet.types import Batch


class PartlyUnreadable:
    """A dataset of which only the first samples can be read."""

    def __init__(self, dataset: Dataset, readable: int) -> None:
        self.info, self.targets = dataset.info, dataset.targets
        self.dataset, self.readable = dataset, readable

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, indices: torch.Tensor) -> Batch:
        return self.dataset.read(indices[indices < self.readable])


def test_batches_without_readable_images_are_left_out() -> None:
    """Augmentation has nothing to sample from in an empty batch."""
    dataset = PartlyUnreadable(convnet.open_data("digits"), 10)
    augment = Augment(flip=True, rotate=10, random_resized_crop=0.5, mixup=0.2)
    loader = Loader(dataset, torch.arange(64), 4, seed=0, augment=augment)
    batches = list(loader.epoch(0))
    assert 0 < len(batches) < 16 and all(len(batch) for batch in batches)
    seen = torch.cat([batch.indices for batch in batches])
    assert sorted(seen.tolist()) == list(range(10))
    none = Loader(replace(dataset.dataset), torch.arange(0), 4, seed=0, augment=augment)
    assert not list(none.epoch(0))
