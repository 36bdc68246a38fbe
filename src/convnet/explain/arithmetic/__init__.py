"""The arithmetic of one unit: what it reads, what it multiplies with, and what it adds up to.

A unit is one number of a layer's output, at a position (channel, row, column). Its value is computed again
from its definition in float64, and can be compared with the value that the network computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from convnet.errors import ModelError
from convnet.explain.arithmetic import moves, norms, pointwise, sums, windows
from convnet.explain.arithmetic.moves import COPIES, copied
from convnet.explain.arithmetic.pointwise import ACTIVATIONS, applied
from convnet.explain.arithmetic.rule import RULES, Parts
from convnet.explain.arithmetic.unit import Position, Term, Unit
from convnet.explain.capture import Capture, Operation

__all__ = ["Position", "Term", "Unit", "moves", "norms", "pointwise", "sums", "unit", "windows"]


def unit(found: Capture, layer: str, position: Sequence[int]) -> Unit:
    """The arithmetic of one unit.

    Args:
        found: The operations of a network for one input.
        layer: The name of a layer.
        position: Channel, row and column; only the channel for vectors.

    Returns:
        What the unit reads and computes.

    Raises:
        ModelError: There is no such layer or position.
    """
    op = found[layer]
    shape = tuple(op.output.shape[1:])
    place = tuple(position)
    if len(place) != len(shape) or any(not 0 <= p < n for p, n in zip(place, shape, strict=True)):
        first, last = ",".join("0" * len(shape)), ",".join(str(n - 1) for n in shape)
        raise ModelError(
            f"layer '{op.name}' has no unit {','.join(map(str, place))}; its output is {_by(shape)}, "
            f"so units go from {first} to {last}"
        )
    rule = RULES.get(op.kind, copied if op.kind in COPIES else _opaque)
    parts = rule(op, place)
    value = float(op.output[(0, *place)])
    made = Unit(op.name, op.kind, place, value=value, **parts)
    name, activation = _activation_after(found, op, place, value)
    return replace(made, activation=activation, activation_name=name)


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _opaque(op: Operation, place: Position) -> Parts:
    """An operation without a rule: only its value is known."""
    value = float(op.output[(0, *place)])
    return {"formula": f"{op.kind}, which has no arithmetic of single units here", "computed": value}


def _activation_after(
    found: Capture, op: Operation, place: Position, value: float
) -> tuple[str | None, float | None]:
    """The activation function that follows a layer, behind norms or pools, and its value for this unit.

    Behind norms it is the network's own value at the same position. Behind a maximum it is the function of
    the unit's value, because the function of a maximum is the maximum of the function.
    """
    name, normed, pooled = op.name, False, False
    while True:
        users = [other for other in found.operations if name in other.inputs]
        if len(users) != 1:
            return None, None
        (user,) = users
        if user.kind in ACTIVATIONS and not pooled:
            return user.name, float(user.output[(0, *place)])
        if user.kind in ACTIVATIONS and not normed:
            return user.name, applied(user, torch.tensor(value, dtype=torch.float64))
        normed |= user.kind == "batch_norm"
        pooled |= user.kind.startswith("max_pool")
        if user.kind not in ("batch_norm", "dropout") and not user.kind.startswith("max_pool"):
            return None, None
        name = user.name
