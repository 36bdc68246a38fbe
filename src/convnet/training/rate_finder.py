"""The learning-rate range test (Smith 2017): the loss while the rate grows from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convnet.errors import RecipeError
from convnet.training.state import Training
from convnet.training.step import train_step
from convnet.types import Batch

STEPS = 100
LOWEST, HIGHEST = 1e-6, 10.0
"""The range of rates."""
DIVERGED = 4.0
"""The loss, relative to the lowest, from which the test ends."""
LEAST_FALL = 0.02
"""The smallest fall of the loss, relative to its start, that counts as learning."""
SMOOTHING = 0.9
"""The decay of the moving average of the losses."""


@dataclass(frozen=True)
class RateCurve:
    """The training loss by learning rate.

    Attributes:
        rates: The learning rate of each step.
        losses: The smoothed loss of each step.
        steepest: The rate at which the loss falls fastest.
        suggested: A rate to train with: the lower of the steepest and a tenth of that with the lowest loss.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    steepest: float
    suggested: float


def find_rate(
    training: Training,
    batches: Callable[[], Iterator[Batch]],
    *,
    steps: int = STEPS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
) -> RateCurve:
    """Train while the learning rate grows exponentially, and stop when the loss diverges.

    Args:
        training: A training at its first step; its weights change.
        batches: Starts a new pass over the training batches.
        steps: The largest number of steps.
        lowest: The first rate.
        highest: The last rate.

    Returns:
        The curve and a suggestion.

    Raises:
        RecipeError: The loss was never finite, or there are too few steps.
    """
    if steps < 10 or not 0 < lowest < highest:
        raise RecipeError(
            f"lr-find needs 10 steps or more and growing rates above 0; got {steps} steps from {lowest:g} to "
            f"{highest:g}"
        )
    groups = training.optimizer.param_groups
    factors = [group["initial_lr"] / max(training.initial_lr, 1e-30) for group in groups]
    rates, losses = list[float](), list[float]()
    mean, best = 0.0, math.inf
    training.begin_epoch()
    stream = _endless(batches)
    for step in range(steps):
        rate = lowest * (highest / lowest) ** (step / (steps - 1))
        for group, factor in zip(groups, factors, strict=True):
            group["lr"] = rate * factor
        loss = float(train_step(training, next(stream)).loss)
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (step + 1))
        rates.append(rate)
        losses.append(smoothed)
        best = min(best, smoothed)
        if step > 10 and smoothed > DIVERGED * best:
            break
    if len(rates) < 10:
        raise RecipeError("the loss was not finite in the first steps; normalize the inputs, or lower --from")
    x, y = np.array(rates), np.array(losses)
    lowest_at = int(y.argmin())
    if lowest_at < 2 or y[lowest_at] > (1 - LEAST_FALL) * y[0]:
        raise RecipeError(
            "the loss fell at no rate; check that the labels belong to the images, or lower --from"
        )
    slopes = np.gradient(y[: lowest_at + 1], np.log(x[: lowest_at + 1]))
    steepest = float(x[int(slopes.argmin())])
    return RateCurve(x, y, steepest, min(steepest, float(x[lowest_at]) / 10))


def _endless(batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        yield from batches()
