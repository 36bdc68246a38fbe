"""Paths of optimizers on the surface of a loss of two weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convnet.concepts.concept import short, table
from convnet.errors import DataError
from convnet.training.optimizers import OPTIMIZERS

MOST_STEPS = 2_000
LARGEST_START = 1000.0
OUTSIDE = 1e6
"""Weights beyond this have diverged."""


@dataclass(frozen=True)
class Surface:
    """A loss of two weights.

    Attributes:
        formula: The loss in words.
        loss: The loss of weights N×2.
        start: Where the optimizers start.
        frame: The part that is drawn: left, right, bottom, top.
        rates: The learning rate of each optimizer with which it gets far in 100 steps.
    """

    formula: str
    loss: Callable[[Tensor], Tensor]
    start: tuple[float, float]
    frame: tuple[float, float, float, float]
    rates: Mapping[str, float]


def _valley(w: Tensor) -> Tensor:
    return 0.01 * w[..., 0] ** 2 + w[..., 1] ** 2


def _saddle(w: Tensor) -> Tensor:
    return w[..., 0] ** 2 - w[..., 1] ** 2 + 0.25 * w[..., 1] ** 4


def _minima(w: Tensor) -> Tensor:
    x, y = w[..., 0], w[..., 1]
    return (
        0.05 * (x**2 + y**2) - torch.exp(-((x - 1.2) ** 2) - y**2) - 2 * torch.exp(-((x + 1.5) ** 2) - y**2)
    )


def _rosenbrock(w: Tensor) -> Tensor:
    x, y = w[..., 0], w[..., 1]
    return (1 - x) ** 2 + 10 * (y - x**2) ** 2


SURFACES: dict[str, Surface] = {
    "valley": Surface(
        "0.01 x² + y², a hundred times steeper along y than along x",
        _valley,
        (-9.0, 2.0),
        (-10.5, 4.0, -3.2, 3.2),
        {
            "sgd": 0.9,
            "momentum": 0.3,
            "nesterov": 0.3,
            "rmsprop": 0.1,
            "adam": 0.3,
            "adamw": 0.3,
            "adadelta": 20.0,
        },
    ),
    "saddle": Surface(
        "x² − y² + y⁴/4, a saddle point at (0, 0) between two minima",
        _saddle,
        (1.6, 0.01),
        (-2.0, 2.0, -2.2, 2.2),
        {
            "sgd": 0.03,
            "momentum": 0.03,
            "nesterov": 0.03,
            "rmsprop": 0.03,
            "adam": 0.05,
            "adamw": 0.05,
            "adadelta": 4.0,
        },
    ),
    "minima": Surface(
        "two dips in a bowl, the left one deeper",
        _minima,
        (2.6, 0.6),
        (-3.2, 3.2, -1.8, 1.8),
        {
            "sgd": 0.1,
            "momentum": 0.1,
            "nesterov": 0.1,
            "rmsprop": 0.05,
            "adam": 0.1,
            "adamw": 0.1,
            "adadelta": 6.0,
        },
    ),
    "rosenbrock": Surface(
        "(1 − x)² + 10 (y − x²)², a curved valley with its minimum at (1, 1)",
        _rosenbrock,
        (-1.4, 1.6),
        (-2.0, 2.0, -1.0, 3.0),
        {
            "sgd": 0.01,
            "momentum": 0.003,
            "nesterov": 0.003,
            "rmsprop": 0.02,
            "adam": 0.1,
            "adamw": 0.1,
            "adadelta": 4.0,
        },
    ),
}
DEFAULT_OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam", "adadelta")


@dataclass(frozen=True)
class Path:
    """The way of one optimizer: its points (steps + 1)×2 and the loss at each."""

    optimizer: str
    lr: float
    points: tuple[tuple[float, float], ...]
    losses: tuple[float, ...]

    @property
    def diverged(self) -> bool:
        """Whether the weights left the surface."""
        return not all(math.isfinite(value) for value in self.losses)


@dataclass(frozen=True)
class Descent:
    """The ways of several optimizers from one start.

    Attributes:
        name: The name of the surface.
        steps: The number of steps.
        noise: The standard deviation of the noise that was added to each gradient.
        paths: One per optimizer.
    """

    name: str
    steps: int
    noise: float
    paths: tuple[Path, ...]

    @property
    def surface(self) -> Surface:
        """The loss."""
        return SURFACES[self.name]

    def to_dict(self) -> dict[str, Any]:
        """The paths as plain values; losses of diverged paths are None."""
        return {
            "surface": self.name,
            "formula": self.surface.formula,
            "steps": self.steps,
            "noise": self.noise,
            "paths": [
                {
                    "optimizer": path.optimizer,
                    "lr": path.lr,
                    "points": [list(point) for point in path.points],
                    "losses": [value if math.isfinite(value) else None for value in path.losses],
                }
                for path in self.paths
            ],
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("", "rate", "start", f"step {self.steps // 10}", f"step {self.steps}", "end at")
        ]
        for path in self.paths:
            early, last = path.losses[min(self.steps // 10, len(path.losses) - 1)], path.losses[-1]
            place = "diverged" if path.diverged else ", ".join(f"{x:.2f}" for x in path.points[-1])
            rows.append(
                (path.optimizer, short(path.lr), *(f"{v:.4f}" for v in (path.losses[0], early, last)), place)
            )
        return f"loss {self.surface.formula}\n{table(rows)}"


def descent(
    surface: str = "valley",
    optimizers: Sequence[str] = DEFAULT_OPTIMIZERS,
    *,
    steps: int = 100,
    rates: Mapping[str, float] | None = None,
    start: tuple[float, float] | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Descent:
    """Follow optimizers on the surface of a loss of two weights.

        >>> from convnet.concepts import descent
        >>> found = descent("valley", ["sgd", "momentum"], steps=100)
        >>> [path.losses[-1] < 0.001 for path in found.paths]
        [False, True]

    Args:
        surface: "valley", "saddle", "minima" or "rosenbrock".
        optimizers: Names of the registry of optimizers.
        steps: The number of steps, at most 2,000.
        rates: Learning rates by optimizer. Default: rates that suit the surface.
        start: Where all of them start. Default: a place from which they differ.
        noise: The standard deviation of Gaussian noise in every gradient, as of a mini-batch.
        seed: The seed of the noise, which is the same for all optimizers.

    Returns:
        The paths.

    Raises:
        DataError: There is no such surface, or a number is out of range.
        UnknownNameError: There is no such optimizer.
    """
    if surface not in SURFACES:
        raise DataError(f"surface '{surface}': expected {', '.join(SURFACES)}")
    if not 1 <= steps <= MOST_STEPS:
        raise DataError(f"steps {steps}: expected 1 to {MOST_STEPS:,}")
    chosen = SURFACES[surface]
    place = chosen.start if start is None else start
    if not all(abs(x) <= LARGEST_START for x in (*place, noise)) or noise < 0:
        raise DataError("start and noise: expected numbers from −1000 to 1000, and noise of at least 0")
    if unused := sorted(set(rates or {}) - set(optimizers)):
        raise DataError(f"rate of {unused[0]}: this optimizer is not drawn; add it to the optimizers")
    paths = []
    for name in optimizers:
        rate = (rates or {}).get(name, chosen.rates.get(name, 0.01))
        paths.append(_follow(name, rate, chosen, steps, place, (noise, seed)))
    return Descent(surface, steps, noise, tuple(paths))


def _follow(
    name: str, lr: float, surface: Surface, steps: int, start: tuple[float, float], noise: tuple[float, int]
) -> Path:
    weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = OPTIMIZERS.build(name, [{"params": [weights]}], lr=lr)
    generator = torch.Generator().manual_seed(noise[1])
    points, losses = [], []
    for step in range(steps + 1):
        loss = surface.loss(weights)
        points.append((weights[0].item(), weights[1].item()))
        losses.append(loss.item())
        if step == steps or not bool(weights.detach().abs().max() < OUTSIDE):
            break
        optimizer.zero_grad()
        loss.backward()
        assert weights.grad is not None
        weights.grad += noise[0] * torch.randn(2, generator=generator, dtype=torch.float64)
        optimizer.step()
    if len(losses) <= steps:
        losses[-1] = math.inf
    return Path(name, lr, tuple(points), tuple(losses))
