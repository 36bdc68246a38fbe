"""Types that all packages share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Annotation = str
"""What a task reads from the data: the name of a target ("class", "mask", …), "photos" alone, or "pairs"."""
IGNORED = -100
"""The class index of positions without a class; losses and metrics ignore them."""
SplitName = Literal["train", "val", "test"]
Modality = Literal["images", "table", "series"]
"""What samples are."""


class ImageShape(NamedTuple):
    """Shape of one image, channels first."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width}"


EVALUATION_BATCH = 512


def evaluation_batch(shape: ImageShape) -> int:
    """The batch size of evaluation and prediction; smaller for larger images."""
    return max(4, EVALUATION_BATCH * 32**2 // max(32**2, shape.height * shape.width))


@dataclass(frozen=True)
class Batch:
    """A batch of samples.

    Attributes:
        images: uint8 or float N×C×H×W, values 0…255. Samples of different sizes fill the upper left.
        targets: Class indices int64 N; labels float N×K; masks int64 N×H×W with `IGNORED` where there is no
            class; images float N×C×H×W, values 0…1.
        indices: int64 N, the indices of the samples in their dataset.
        sizes: int64 N×2, heights and widths, where the samples differ in size.
        mixed_targets: A second set of targets, where samples are mixed (mixup, cutmix).
        mix: The weight of `targets` in the loss; `mixed_targets` has the weight 1 − mix.
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
    """The output of a network with auxiliary classifiers in training mode (Szegedy et al. 2015).

    Attributes:
        logits: N×K, the output in evaluation mode.
        auxiliary: Logits N×K of each auxiliary classifier.
        weight: The weight of each auxiliary loss.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    weight: float


def checksum(content: bytes) -> int:
    """A 63-bit number that changes with the content; never 0."""
    return 1 + int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) % (2**63 - 1)


T = TypeVar("T")


class Progress(Protocol):
    """Iterates over `total` items and shows how many are done."""

    def __call__(self, items: Iterable[T], total: int, /) -> Iterable[T]:
        """The same items."""
        ...


def unseen(items: Iterable[T], total: int) -> Iterable[T]:
    """A `Progress` that shows nothing."""
    return items
