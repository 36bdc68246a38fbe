"""Operations that only move numbers: reshapes, padding, concatenation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from convnet.explain.arithmetic.rule import Parts, input_of, rule
from convnet.explain.arithmetic.unit import Position, Term
from convnet.explain.capture import Operation


@rule("pad")
def _padded(op: Operation, place: Position) -> Parts:
    value = float(op.output[(0, *place)])
    source = _source(op, place)
    where = "padding" if source is None else f"unit {','.join(map(str, source))} of the input"
    constant = float(op.argument(3, "value") or 0.0)
    computed = constant if source is None else float(input_of(op)[source])
    return {"formula": where, "computed": computed, "terms": (Term("x", value),)}


COPIES = {
    "flatten", "reshape", "view", "permute", "transpose", "t", "unflatten", "squeeze", "unsqueeze", "getitem",
    "identity", "channel_shuffle", "pixel_shuffle", "movedim", "unfold",
}  # fmt: skip
"""Operations that only move numbers."""


def moved_from(op: Operation) -> Tensor:
    """For every number of a moving operation its position in the flattened input; −1 for padding."""
    x = op.argument(0, "input")
    numbers = torch.arange(1, x.numel() + 1, dtype=torch.float64).view(x.shape)
    keywords = {key: value for key, value in op.keywords.items() if key not in ("input", "value")}
    arguments = op.arguments[1:3] if op.kind == "pad" else op.arguments[1:]
    moved: Tensor = op.function(numbers, *arguments, **keywords)
    return moved.long() - 1


def _source(op: Operation, place: Position) -> Position | None:
    """The position in the first input that a position of a moving operation comes from; None for padding."""
    number = int(moved_from(op)[(0, *place)])
    if number < 0:
        return None
    return tuple(int(i) for i in np.unravel_index(number, op.argument(0, "input").shape))[1:]


def copied(op: Operation, place: Position) -> Parts:
    """A number at another position."""
    source = _source(op, place)
    assert source is not None, "only padding adds positions"
    value = float(input_of(op)[source])
    return {
        "formula": f"unit {','.join(map(str, source))} of {op.inputs[0] or 'the input'}",
        "computed": value,
        "terms": (Term("x", value),),
    }


@rule("cat", "concat")
def _concatenated(op: Operation, place: Position) -> Parts:
    parts, dim = op.argument(0, "tensors"), op.argument(1, "dim", 0) % op.output.dim() - 1
    offset = place[dim]
    for number, part in enumerate(parts):
        if offset < part.shape[dim + 1]:
            source = (*place[:dim], offset, *place[dim + 1 :])
            value = float(part[(0, *source)])
            name = op.inputs[number] or f"input {number}"
            return {
                "formula": f"unit {','.join(map(str, source))} of {name}",
                "computed": value,
                "terms": (Term(name, value),),
            }
        offset -= part.shape[dim + 1]
    raise AssertionError("the position was checked")
