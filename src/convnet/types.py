"""The words that all stations share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["classification"]
SplitName = Literal["train", "val", "test"]


class ImageShape(NamedTuple):
    """Shape of one image, channels first."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width}"


@dataclass(frozen=True)
class Batch:
    """What a data source hands to a model.

    `images` is uint8 or float N×C×H×W with values 0…255, `targets` int64 N (class indices), `indices`
    int64 N (positions of the samples in their source). A mixed batch (mixup, cutmix) carries a second
    set of targets, whose share of the loss is `1 - mix`.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    mixed_targets: Tensor | None = None
    mix: float = 1.0

    def __len__(self) -> int:
        return len(self.targets)


class AuxiliaryLogits(NamedTuple):
    """What a network with auxiliary classifiers returns in training (M64).

    `logits` N×K are those of evaluation; the loss of each of the `auxiliary` logits N×K counts `weight`.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    weight: float
