"""Rules: the arithmetic of operations, by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from convnet.explain.arithmetic.unit import Position, Term
from convnet.explain.capture import Operation

Parts = dict[str, Any]
Rule = Callable[[Operation, Position], Parts]
RULES: dict[str, Rule] = {}
"""The arithmetic of operations, by kind; a rule returns fields of `Unit`."""


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register the arithmetic of some kinds of operations."""

    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return add


def input_of(op: Operation) -> Tensor:
    """The first tensor of an operation without the batch dimension, float64."""
    value: Tensor = op.argument(0, "input")
    return value[0].double()


def per_side(value: Any, sides: int) -> tuple[int, ...]:
    """A parameter of windows as a number for every side."""
    return (int(value),) * sides if isinstance(value, int) else tuple(int(v) for v in value)


def windowed(
    maps: Tensor, place: Position, size: Sequence[int], step: Sequence[int], pad: Sequence[int],
    dilation: Sequence[int], outside: float,
) -> tuple[Tensor, tuple[int, int, int, int] | None]:  # fmt: skip
    """The window of C×… that an output position reads, and its first and last row and column."""
    ends = []
    for axis, (n, k, s, p, d) in enumerate(zip(maps.shape[1:], size, step, pad, dilation, strict=True)):
        rows = torch.arange(k) * d + place[axis] * s - p
        there = (rows >= 0) & (rows < n)
        maps = maps.index_select(axis + 1, rows.clamp(0, n - 1))
        shape = [1] * maps.dim()
        shape[axis + 1] = k
        maps = torch.where(there.view(shape), maps, torch.full_like(maps, outside))
        ends += [int(rows[0]), int(rows[-1])]
    return maps, (ends[0], ends[1], ends[2], ends[3]) if len(ends) == 4 else None


def terms(values: dict[str, float]) -> tuple[Term, ...]:
    """Named numbers."""
    return tuple(Term(name, float(value)) for name, value in values.items())
