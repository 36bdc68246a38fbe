"""`Unit`: the arithmetic of one number that a layer computes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Position = tuple[int, ...]


@dataclass(frozen=True)
class Term:
    """A named number of a formula, with the place in the input where it was read."""

    name: str
    value: float


@dataclass(frozen=True)
class Unit:
    """The arithmetic of one number that a layer computes.

    Attributes:
        layer: The name of the layer.
        kind: The operation.
        position: Channel, row and column, as far as the output has them.
        formula: The operation in words.
        value: The value that the network computed.
        computed: The value computed again from the parts below.
        patch: What the unit reads, D×I×J for maps and D for vectors; None for operations on single numbers.
        kernel: The weights, of the shape of `patch`; None if there are none.
        bias: The number that is added; None if there is none.
        terms: Further numbers of the formula.
        window: For maps the first and last row and column of the patch in the layer's input, which may lie in
            the padding.
        activation: The value after the activation function that follows the layer; None without one.
        activation_name: The function.
    """

    layer: str
    kind: str
    position: Position
    formula: str
    value: float
    computed: float
    patch: Tensor | None = field(default=None, repr=False)
    kernel: Tensor | None = field(default=None, repr=False)
    bias: float | None = None
    terms: tuple[Term, ...] = ()
    window: tuple[int, int, int, int] | None = None
    activation: float | None = None
    activation_name: str | None = None

    @property
    def products(self) -> Tensor | None:
        """The products of patch and kernel; None without a kernel."""
        return None if self.patch is None or self.kernel is None else self.patch * self.kernel

    def to_dict(self) -> dict[str, Any]:
        """The arithmetic as plain values, for JSON; `sum` is the value that the network computed."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "unit": list(self.position),
            "formula": self.formula,
            "patch": None if self.patch is None else _finite(self.patch.tolist()),
            "kernel": None if self.kernel is None else self.kernel.tolist(),
            "bias": self.bias,
            "terms": {term.name: term.value for term in self.terms},
            "window": self.window and list(self.window),
            "sum": self.value,
            "sum_of_products": self.computed,
            "activation": self.activation,
            "activation_function": self.activation_name,
        }

    def __str__(self) -> str:
        place = ",".join(map(str, self.position))
        lines = [f"unit {place} of {self.layer} ({self.kind}): {self.formula}"]
        if self.patch is not None and self.kernel is not None:
            size = "×".join(map(str, self.patch.shape))
            bias = "" if self.bias is None else f" + bias {self.bias:.6g}"
            total = float((self.patch * self.kernel).sum())
            lines.append(f"  {size} products, sum {total:.6g}{bias} = {self.computed:.6g}")
        else:
            terms = ", ".join(f"{term.name} = {term.value:.6g}" for term in self.terms)
            lines.append(f"  {terms + ': ' if terms else ''}{self.computed:.6g}")
        after = "" if self.activation is None else f"; after {self.activation_name}: {self.activation:.6g}"
        lines.append(f"  the network computed {self.value:.6g}{after}")
        return "\n".join(lines)


def _finite(values: Any) -> Any:
    """Nested lists without infinities, which JSON does not have: None marks padding of a maximum."""
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return values if math.isfinite(values) else None
