"""Dense layers, reductions and softmax: sums over whole vectors and maps."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from convnet.explain.arithmetic.rule import Parts, input_of, rule, terms
from convnet.explain.arithmetic.unit import Position
from convnet.explain.capture import Operation


@rule("linear")
def _linear(op: Operation, place: Position) -> Parts:
    x, weight, bias = input_of(op), op.argument(1, "weight").double(), op.argument(2, "bias")
    patch, kernel = x[place[:-1]], weight[place[-1]]
    added = None if bias is None else float(bias[place[-1]])
    return _dense(patch, kernel, added)


@rule("FlattenLinear")
def _flatten_linear(op: Operation, place: Position) -> Parts:
    layer: Any = op.function
    kernel = layer.templates()[place[0]].detach().double()
    added = None if layer.bias is None else float(layer.bias.detach()[place[0]])
    return {**_dense(input_of(op), kernel, added), "window": _whole(input_of(op))}


def _whole(maps: Tensor) -> tuple[int, int, int, int] | None:
    return (0, maps.shape[1] - 1, 0, maps.shape[2] - 1) if maps.dim() == 3 else None


def _dense(patch: Tensor, kernel: Tensor, bias: float | None) -> Parts:
    return {
        "formula": "sum of input × weights" + ("" if bias is None else " + bias"),
        "computed": float((patch * kernel).sum()) + (bias or 0.0),
        "patch": patch,
        "kernel": kernel,
        "bias": bias,
    }


@rule("mean", "amax", "sum")
def _reduced(op: Operation, place: Position) -> Parts:
    x = op.argument(0, "input").double()
    given = op.argument(1, "dim")
    chosen = range(x.dim()) if given is None else (given,) if isinstance(given, int) else given
    dims = {dim % x.dim() for dim in chosen}
    index: list[Any] = [0]
    rest = list(place)
    keep = bool(op.argument(2, "keepdim", False))
    for dim in range(1, x.dim()):
        if dim in dims:
            index.append(slice(None))
            if keep:
                rest.pop(0)
        else:
            index.append(rest.pop(0))
    patch = x[tuple(index)]
    patch = patch if patch.dim() != 2 else patch[None]
    if op.kind == "amax":
        return {"formula": "largest value of the patch", "computed": float(patch.max()), "patch": patch}
    computed = float(patch.mean() if op.kind == "mean" else patch.sum())
    return {"formula": f"{op.kind} of the patch", "computed": computed, "patch": patch}


@rule("Maxout", "ChannelMaxPool")
def _over_channels(op: Operation, place: Position) -> Parts:
    layer: Any = op.function
    x = input_of(op)
    if op.kind == "Maxout":
        pieces = x.unflatten(0, (layer.pieces, -1))[:, place[0]]
    else:
        first = place[0] * layer.stride
        pieces = x[first : first + layer.kernel_size]
    patch = pieces.movedim(0, -1)[place[1:]]
    return {"formula": "largest value over the channels", "computed": float(patch.max()), "patch": patch}


@rule("softmax")
def _softmax(op: Operation, place: Position) -> Parts:
    x, dim = input_of(op), op.argument(1, "dim") % op.output.dim() - 1
    patch = x.movedim(dim, -1)[(*place[:dim], *place[dim + 1 :])]
    value = float(patch[place[dim]])
    total = float((patch - patch.max()).exp().sum())
    largest = float(patch.max())
    return {
        "formula": "exp(x − largest) / sum of exp(input − largest)",
        "computed": math.exp(value - largest) / total,
        "patch": patch,
        "terms": terms({"x": value, "largest": largest, "sum": total}),
    }
