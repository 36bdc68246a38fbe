"""Kinds of targets: class index, labels, mask, image.

A target defines how it is stored, batched, cropped, moved, counted and renumbered, so that no other module
has to test which kind it is. A new kind is a subclass, registered with `register_target`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from convnet.types import IGNORED

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets N×… → the mean over the batch, a scalar."""
Weight = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets N×… → the divisor of the mean of a batch, a scalar."""
BatchMetric = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Outputs and targets N×… → the sum of the scores and the number of them, both scalars."""


@runtime_checkable
class Move(Protocol):
    """A geometric change of a batch of images, by which the targets follow their images."""

    def maps(self, maps: Tensor, outside: int, *, interpolate: bool) -> Tensor:
        """Move maps N×…×H×W.

        Args:
            maps: A value or a vector at every position.
            outside: The value of positions from beyond the image.
            interpolate: Whether values between two positions are interpolated.
        """
        ...


class Target:
    """The base of all targets; its defaults are those of one class index per sample.

    Attributes:
        name: Its name in recipes, losses and run folders.
        noun: Its plural in messages.
        dense: Whether there is a value at every position of the image instead of one per sample.
        head: The name of the target whose networks also serve this one: their outputs have the same shape.
        exclusive: Whether a sample has exactly one class.
        has_classes: Whether its values are classes.
        colored: Whether its values are colors, which follow a change of those of the image.
        unmixable: Fields of `Augment` that the target cannot follow.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    dense: ClassVar[bool] = False
    head: ClassVar[str]
    exclusive: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True
    colored: ClassVar[bool] = False
    unmixable: ClassVar[tuple[str, ...]] = ()

    def batch(self, stored: Tensor) -> Tensor:
        """Stored targets of some samples, as losses and metrics take them."""
        return stored

    def crop(self, targets: Tensor, height: int, width: int) -> Tensor:
        """The targets of the upper left `height`×`width` positions."""
        return targets[..., :height, :width] if self.dense else targets

    def move(self, targets: Tensor, move: Move) -> Tensor:
        """The targets of a batch after its images were moved."""
        return targets

    def strata(self, stored: Tensor, num_classes: int) -> Tensor:
        """The class by which splits are stratified, int64 N; all 0 where samples have none."""
        return torch.zeros(len(stored), dtype=torch.int64)

    def names(self, stored: Tensor, classes: Sequence[str]) -> list[str]:
        """The class names of each sample; empty where samples have none."""
        return [""] * len(stored)

    def counts(self, stored: Tensor, num_classes: int) -> list[int]:
        """Samples per class; empty where samples have none."""
        return []

    def renumber(self, stored: Tensor, numbers: Tensor, num_classes: int) -> Tensor:
        """The targets with class i renumbered to `numbers[i]`, one of `num_classes`."""
        return stored


class ClassIndex(Target):
    """One of K classes per sample, int64 N."""

    name = head = "class"
    noun = "classes"
    exclusive = True

    def strata(self, stored: Tensor, num_classes: int) -> Tensor:
        """The class itself."""
        return stored.cpu()

    def names(self, stored: Tensor, classes: Sequence[str]) -> list[str]:
        """The name of each class."""
        return [classes[label] for label in stored.tolist()]

    def counts(self, stored: Tensor, num_classes: int) -> list[int]:
        """Samples per class."""
        return torch.bincount(stored.cpu(), minlength=num_classes).tolist()

    def renumber(self, stored: Tensor, numbers: Tensor, num_classes: int) -> Tensor:
        """The new number of each class."""
        return numbers[stored]


class MultiHot(Target):
    """Any number of K labels per sample, uint8 N×K, 1 for each that applies; float in batches."""

    name = "labels"
    head = "class"
    noun = "labels"

    def batch(self, stored: Tensor) -> Tensor:
        """As float, for a sigmoid per label."""
        return stored.float()

    def strata(self, stored: Tensor, num_classes: int) -> Tensor:
        """The rarest label of each sample; K where it has none."""
        return rarest_label(stored.cpu())

    def names(self, stored: Tensor, classes: Sequence[str]) -> list[str]:
        """Labels separated by |."""
        return ["|".join(classes[k] for k in row.nonzero().flatten().tolist()) for row in stored]

    def counts(self, stored: Tensor, num_classes: int) -> list[int]:
        """Samples per label."""
        counts: list[int] = stored.sum(0, dtype=torch.int64).tolist()
        return counts

    def renumber(self, stored: Tensor, numbers: Tensor, num_classes: int) -> Tensor:
        """The columns in their new order."""
        moved = stored.new_zeros((len(stored), num_classes))
        moved[:, numbers] = stored
        return moved


class Mask(Target):
    """One of K classes per position, int16 N×H×W, `IGNORED` where there is none; int64 in batches.

    A series with a class per step is a mask of height 1.
    """

    name = head = "mask"
    noun = "masks"
    dense = True
    unmixable = ("cutout", "mixup", "cutmix", "policy", "erase")

    def batch(self, stored: Tensor) -> Tensor:
        """As int64, which losses take."""
        return stored.long()

    def move(self, targets: Tensor, move: Move) -> Tensor:
        """Each position keeps a class; there is none beyond the image."""
        return move.maps(targets, IGNORED, interpolate=False)

    def renumber(self, stored: Tensor, numbers: Tensor, num_classes: int) -> Tensor:
        """The new number of each class; positions without a class stay without."""
        known = stored >= 0
        return torch.where(known, numbers[stored.long().clamp_min(0)], IGNORED).to(stored.dtype)


class Image(Target):
    """One target image per input image, uint8 N×C×H×W; float 0…1 in batches."""

    name = head = "image"
    noun = "images"
    dense = True
    has_classes = False
    colored = True
    unmixable = (*Mask.unmixable, "brightness", "contrast", "saturation", "hue")

    def batch(self, stored: Tensor) -> Tensor:
        """As float, values 0…1."""
        return stored.float() / 255

    def move(self, targets: Tensor, move: Move) -> Tensor:
        """Like the images."""
        return move.maps(targets, 0, interpolate=True)


TARGETS: dict[str, Target] = {}


def register_target(target: Target) -> Target:
    """Register a target under its name.

    Args:
        target: An instance of the new kind.

    Returns:
        The same instance.

    Raises:
        ValueError: The name is already registered.
    """
    if target.name in TARGETS:
        raise ValueError(f"target '{target.name}' is registered twice")
    TARGETS[target.name] = target
    return target


CLASS_INDEX = register_target(ClassIndex())
MULTI_HOT = register_target(MultiHot())
MASK = register_target(Mask())
IMAGE = register_target(Image())


def rarest_label(labels: Tensor) -> Tensor:
    """The label of each sample (N×K, 1 for each) that fewest samples have, int64 N; K for none."""
    if not labels.shape[1]:
        return torch.zeros(len(labels), dtype=torch.int64)
    counts = labels.sum(0, dtype=torch.int64)
    rank = torch.where(labels > 0, counts, len(labels) + 1)
    return torch.where(labels.bool().any(1), rank.argmin(1), labels.shape[1])
