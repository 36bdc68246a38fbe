"""Activation functions and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convnet.concepts.concept import short, table
from convnet.errors import DataError
from convnet.layers.activations import ACTIVATIONS, Maxout

DEFAULT = ("sigmoid", "tanh", "relu", "leaky-relu", "maxout", "elu")
"""The functions of the lectures, in their order."""
POINTS = 241
SHORTEST, REACH = 0.01, 1000.0
MAXOUT_LINES = ((-0.5, 0.0), (1.0, 0.5))
"""Slope and bias of the two pieces that maxout is drawn with; in a network they are learned."""


@dataclass(frozen=True)
class ActivationCurves:
    """Activation functions and their derivatives on an interval, and at chosen points.

    Attributes:
        at: The chosen points.
        reach: The interval is −reach…reach.
        names: The functions, by their names in the registry.
    """

    at: tuple[float, ...]
    reach: float
    names: tuple[str, ...]

    @property
    def points(self) -> list[float]:
        """The points of the curves."""
        found: list[float] = torch.linspace(-self.reach, self.reach, POINTS, dtype=torch.float64).tolist()
        return found

    def values(self, name: str, points: Sequence[float]) -> tuple[list[float], list[float]]:
        """A function and its derivative at some points."""
        x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        y = _apply(name, x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        return y.tolist(), slope.tolist()

    def to_dict(self) -> dict[str, Any]:
        """The functions at the chosen points, and their curves."""
        found: dict[str, Any] = {"at": list(self.at), "x": self.points, "functions": {}}
        for name in self.names:
            (values, slopes), (y, dy) = self.values(name, self.at), self.values(name, self.points)
            found["functions"][name] = {
                "formula": formula(name), "values": values, "derivatives": slopes, "y": y, "dy": dy,
            }  # fmt: skip
        return found

    def __str__(self) -> str:
        rows = [["", *(f"f({short(x)})" for x in self.at), *(f"f'({short(x)})" for x in self.at)]]
        for name in self.names:
            values, slopes = self.values(name, self.at)
            rows.append([name, *(f"{v:.4f}" for v in values), *(f"{v:.4f}" for v in slopes)])
        return table(rows)


def activations(
    names: Sequence[str] | None = None, *, at: Sequence[float] = (-2.0, 0.5, 2.0), reach: float = 4.0
) -> ActivationCurves:
    """Compute activation functions and their derivatives.

    Maxout, whose pieces are learned, has the pieces −0.5x and x + 0.5.

        >>> from convnet.concepts import activations
        >>> print(activations(["relu", "sigmoid"], at=[-1, 2]))
                  f(-1)    f(2)  f'(-1)   f'(2)
        relu     0.0000  2.0000  0.0000  1.0000
        sigmoid  0.2689  0.8808  0.1966  0.1050

    Args:
        names: Names of the registry. Default: the six of the lectures.
        at: The points at which values are printed, at most six.
        reach: The curves go from −reach to reach.

    Returns:
        Values, derivatives and curves.

    Raises:
        UnknownNameError: There is no such function.
        DataError: A point or the reach is out of range.
    """
    chosen = tuple(dict.fromkeys(names or DEFAULT))
    for name in chosen:
        ACTIVATIONS[name]
    if not 1 <= len(at) <= 6 or not all(abs(x) <= REACH for x in at):
        raise DataError(f"at: expected one to six numbers from −{REACH:g} to {REACH:g}")
    if not SHORTEST <= reach <= REACH:
        raise DataError(f"reach {reach}: expected a number from {SHORTEST:g} to {REACH:g}")
    return ActivationCurves(tuple(float(x) for x in at), float(reach), chosen)


def formula(name: str) -> str:
    """The formula of an activation function, the first line of its documentation."""
    if name == "maxout":
        return "max(−0.5 x, x + 0.5)"
    return str(ACTIVATIONS[name].__doc__).partition("\n")[0].rstrip(".")


def _apply(name: str, x: torch.Tensor) -> torch.Tensor:
    module = ACTIVATIONS.build(name)
    if isinstance(module, Maxout):
        found: torch.Tensor = module(torch.stack([a * x + b for a, b in MAXOUT_LINES], 1))[:, 0]
        return found
    made: torch.Tensor = module(x.clone())  # some work in place
    return made
