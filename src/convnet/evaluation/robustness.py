"""Accuracy under noise, blur, compression, shift, rotation and brightness."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convnet.data import Dataset, Loader
from convnet.data.images.corruptions import CORRUPTIONS, STRENGTHS, applicable, corrupted
from convnet.device import derived_seed
from convnet.tasks.intervals import Interval, wilson
from convnet.tasks.task import evaluating
from convnet.types import evaluation_batch

SMALL_SIDE = 64
MOST_SMALL, MOST_LARGE = 1000, 100
"""The largest number of samples, of images up to 64 pixels and of larger ones."""


@dataclass(frozen=True)
class CorruptedAccuracy:
    """The accuracy under one corruption at one strength.

    Attributes:
        corruption: Its name.
        strength: 1…5; 0 for the images as they are.
        value: The parameter of the corruption.
        accuracy: The accuracy.
        interval: Its 95% interval.
        samples: The number of samples.
    """

    corruption: str
    strength: int
    value: float
    accuracy: float
    interval: Interval | None
    samples: int

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return asdict(self)


@torch.no_grad()
def measure_robustness(model: nn.Module, dataset: Dataset, indices: Tensor) -> list[CorruptedAccuracy]:
    """Classify corrupted copies of images.

    Args:
        model: The network; run in evaluation mode.
        dataset: Images.
        indices: The samples; at most 1,000 of them are used, 100 of images above 64 pixels.

    Returns:
        The accuracy on the images as they are, then for each corruption and strength.
    """
    most = MOST_SMALL if max(dataset.info.shape[1:]) <= SMALL_SIDE else MOST_LARGE
    chosen = indices[torch.linspace(0, len(indices) - 1, min(most, len(indices))).long()]
    names = applicable(dataset.info.shape.channels)
    cells = [("none", 0), *((name, strength) for name in names for strength in range(1, STRENGTHS + 1))]
    right, total = dict.fromkeys(cells, 0), 0
    with evaluating(model):
        for batch in Loader(dataset, chosen, evaluation_batch(dataset.info.shape)).epoch():
            total += len(batch)
            for name, strength in cells:
                images = batch.images
                if strength:
                    seed = derived_seed(strength, name, int(batch.indices[0]))
                    images = corrupted(images.cpu(), name, strength, seed).to(batch.images.device)
                right[name, strength] += int((model(images).argmax(1) == batch.targets).sum())
    return [
        CorruptedAccuracy(
            name,
            strength,
            CORRUPTIONS[name].values[strength - 1] if strength else 0.0,
            count / max(1, total),
            wilson(count, total),
            total,
        )
        for (name, strength), count in right.items()
    ]
