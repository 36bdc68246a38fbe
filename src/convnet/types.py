"""The words that all stations share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Annotation = str
"""What a task takes from data: the name of a target ("class", "mask", …), "photos" alone, or "pairs"."""
IGNORED = -100
"""The class index of places that no class was given to: no loss and no figure counts them."""
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

    `images` is uint8 or float N×C×H×W with values 0…255, `indices` int64 N (positions of the samples in
    their source). `targets` are class indices, int64 N; of several labels float N×K, 1 for each; of masks
    int64 N×H×W, with IGNORED where there is no class; of images N×C×H×W with values 0…1. Where the samples
    differ in size, they fill the upper left of their images, and `sizes` has their heights and widths,
    int64 N×2. A mixed batch (mixup, cutmix) carries a second set of targets, whose share of the loss is
    `1 - mix`.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    sizes: Tensor | None = None
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


T = TypeVar("T")


class Progress(Protocol):
    """Shows how far work on `total` items has come, while it hands them on."""

    def __call__(self, items: Iterable[T], total: int, /) -> Iterable[T]:
        """The same items."""
        ...


def unseen(items: Iterable[T], total: int) -> Iterable[T]:
    """Progress that nobody looks at."""
    return items
