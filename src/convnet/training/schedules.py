"""Learning-rate schedules: factors of the optimizer's learning rate per step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convnet.registry import Count, CountOrZero, Fraction, NonNegative, Positive, Registry

SCHEDULES: Registry[Callable[..., Schedule], Any] = Registry("schedule")


@dataclass(frozen=True)
class Timing:
    """The length of a run in steps and epochs."""

    steps_per_epoch: int
    epochs: int

    @property
    def total(self) -> int:
        """The number of steps of the run."""
        return self.steps_per_epoch * self.epochs


class Schedule:
    """A linear warm-up followed by a curve.

    Args:
        timing: The length of the run.
        warmup_epochs: The length of the warm-up.
        curve: `curve(t, total)` is the factor after t of `total` steps, both counted from the end of the
            warm-up.
    """

    def __init__(self, timing: Timing, warmup_epochs: float, curve: Callable[[int, int], float]) -> None:
        self.warmup = min(round(warmup_epochs * timing.steps_per_epoch), timing.total)
        self.length = max(1, timing.total - self.warmup)
        self.curve = curve

    def factor(self, step: int) -> float:
        """The factor for update `step`, counted from 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return self.curve(step - self.warmup, self.length)

    def observe(self, error: float) -> None:
        """Called with the validation loss after every epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs; empty if the schedule depends on the step only."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""


@SCHEDULES.register("constant")
def constant(timing: Timing, *, warmup_epochs: NonNegative = 0.0) -> Schedule:
    """A constant rate."""
    return Schedule(timing, warmup_epochs, lambda step, total: 1.0)


@SCHEDULES.register("step")
def step(
    timing: Timing, *, every_epochs: Count = 10, gamma: Positive = 0.1, warmup_epochs: NonNegative = 0.0
) -> Schedule:
    """Multiplied by `gamma` every `every_epochs` epochs."""
    every = every_epochs * timing.steps_per_epoch
    return Schedule(timing, warmup_epochs, lambda step, total: gamma ** (step // every))


@SCHEDULES.register("cosine")
def cosine(timing: Timing, *, final: Fraction = 0.0, warmup_epochs: NonNegative = 0.0) -> Schedule:
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter 2017, without restarts)."""

    def curve(step: int, total: int) -> float:
        return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, step / total))) / 2

    return Schedule(timing, warmup_epochs, curve)


@SCHEDULES.register("one-cycle")
def one_cycle(
    timing: Timing,
    *,
    peak_at: Fraction = 0.3,
    start: Fraction = 0.04,
    final: Fraction = 0.0001,
    warmup_epochs: NonNegative = 0.0,
) -> Schedule:
    """Cosine from `start` up to 1, then down to `final` (Smith 2018); `lr` is the peak.

    Args:
        peak_at: The position of the peak as a fraction of the run.
        start: The first factor.
        final: The last factor.
        warmup_epochs: The length of a linear warm-up before the cycle.
    """

    def curve(step: int, total: int) -> float:
        place = min(1.0, step / total)
        if place < peak_at:
            return start + (1 - start) * (1 - math.cos(math.pi * place / peak_at)) / 2
        return final + (1 - final) * (1 + math.cos(math.pi * (place - peak_at) / (1 - peak_at))) / 2

    return Schedule(timing, warmup_epochs, curve)


@SCHEDULES.register("plateau")
def plateau(
    timing: Timing,
    *,
    gamma: Fraction = 0.1,
    patience: CountOrZero = 3,
    threshold: NonNegative = 1e-3,
    warmup_epochs: NonNegative = 0.0,
) -> Schedule:
    """Multiplied by `gamma` when the validation loss has not improved for more than `patience` epochs.

    Args:
        gamma: The factor.
        patience: Epochs without improvement that are tolerated.
        threshold: The smallest relative improvement that counts.
        warmup_epochs: The length of a linear warm-up.
    """
    return Plateau(timing, warmup_epochs, gamma, patience, threshold)


class Plateau(Schedule):
    """The schedule behind `plateau`."""

    def __init__(
        self, timing: Timing, warmup_epochs: float, gamma: float, patience: int, threshold: float
    ) -> None:
        super().__init__(timing, warmup_epochs, lambda step, total: self.scale)
        self.gamma, self.patience, self.threshold = gamma, patience, threshold
        self.scale, self.best, self.stalled = 1.0, math.inf, 0

    def observe(self, error: float) -> None:
        """Count the epochs without improvement and reduce the rate after `patience` of them."""
        if error < self.best * (1 - self.threshold):
            self.best, self.stalled = error, 0
            return
        self.stalled += 1
        if self.stalled > self.patience:
            self.scale, self.stalled = self.scale * self.gamma, 0

    def state_dict(self) -> dict[str, Any]:
        """The scale, the best loss (None before the first) and the epochs since."""
        best = None if math.isinf(self.best) else self.best
        return {"scale": self.scale, "best": best, "stalled": self.stalled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.scale, self.stalled = state["scale"], state["stalled"]
        self.best = math.inf if state["best"] is None else state["best"]
