"""Losses that are weighted means, and their means over samples that do not depend on the batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from convnet.targets import Loss, Weight

Prepare = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Outputs and targets → the outputs and targets that a loss takes."""


@dataclass(frozen=True)
class MeanLoss:
    """A loss whose mean over a batch is weighted, or a weighted sum of such losses.

    Attributes:
        mean: Outputs and targets → the mean over the batch.
        weight: Outputs and targets → its divisor, for example the number of pixels with a class.
        parts: The factors and the losses of a sum; empty for a single mean.
    """

    mean: Loss
    weight: Weight
    parts: tuple[tuple[float, MeanLoss], ...] = ()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch."""
        return self.mean(outputs, targets)

    @property
    def terms(self) -> tuple[tuple[float, MeanLoss], ...]:
        """Its parts with their factors; itself if it is a single mean."""
        return self.parts or ((1.0, self),)

    def after(self, prepare: Prepare) -> MeanLoss:
        """The same loss of prepared outputs and targets."""
        return MeanLoss(
            lambda outputs, targets: self.mean(*prepare(outputs, targets)),
            lambda outputs, targets: self.weight(*prepare(outputs, targets)),
            tuple((factor, part.after(prepare)) for factor, part in self.parts),
        )


def as_mean(loss: Loss) -> MeanLoss:
    """A loss as a weighted mean; a plain function is a mean over samples."""
    return loss if isinstance(loss, MeanLoss) else MeanLoss(loss, _samples)


class RunningLoss:
    """The mean of a loss over all samples of several batches."""

    def __init__(self, loss: Loss) -> None:
        self.parts = as_mean(loss).terms
        self.sums = [0.0] * len(self.parts)
        self.weights = [0.0] * len(self.parts)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch."""
        for i, (_, part) in enumerate(self.parts):
            weight = float(part.weight(outputs, targets))
            if weight:
                self.sums[i] += float(part.mean(outputs, targets)) * weight
                self.weights[i] += weight

    @property
    def mean(self) -> float | None:
        """The mean; None if no sample counts, for example if no pixel has a class."""
        if not any(self.weights):
            return None
        shares = zip(self.parts, self.sums, self.weights, strict=True)
        return sum(factor * total / weight for (factor, _), total, weight in shares if weight)


def _samples(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.new_tensor(len(outputs))
