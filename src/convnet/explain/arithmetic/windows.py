"""Convolutions and pools: sums and maxima over windows."""

from __future__ import annotations

import math
from typing import Any

import torch

from convnet.explain.arithmetic.rule import Parts, input_of, per_side, rule, windowed
from convnet.explain.arithmetic.unit import Position
from convnet.explain.capture import Operation


@rule("conv1d", "conv2d")
def _convolution(op: Operation, place: Position) -> Parts:
    x, weight, bias = input_of(op), op.argument(1, "weight").double(), op.argument(2, "bias")
    sides = weight.dim() - 2
    stride, padding = per_side(op.argument(3, "stride", 1), sides), op.argument(4, "padding", 0)
    dilation, groups = per_side(op.argument(5, "dilation", 1), sides), op.argument(6, "groups", 1)
    size = weight.shape[2:]
    if padding == "same":
        pad = tuple(d * (k - 1) // 2 for k, d in zip(size, dilation, strict=True))
    else:
        pad = (0,) * sides if padding == "valid" else per_side(padding, sides)
    channel, per_group = place[0], weight.shape[1]
    first = channel // (weight.shape[0] // groups) * per_group
    patch, window = windowed(x[first : first + per_group], place[1:], size, stride, pad, dilation, 0.0)
    kernel = weight[channel]
    added = None if bias is None else float(bias[channel])
    return {
        "formula": "sum of patch × kernel" + ("" if added is None else " + bias"),
        "computed": float((patch * kernel).sum()) + (added or 0.0),
        "patch": patch,
        "kernel": kernel,
        "bias": added,
        "window": window,
    }


@rule("conv_transpose2d")
def _transposed(op: Operation, place: Position) -> Parts:
    """The input positions whose kernels cover the unit, each with the weight that reaches it."""
    x, weight, bias = input_of(op), op.argument(1, "weight").double(), op.argument(2, "bias")
    stride, pad = per_side(op.argument(3, "stride", 1), 2), per_side(op.argument(4, "padding", 0), 2)
    groups, dilation = op.argument(6, "groups", 1), per_side(op.argument(7, "dilation", 1), 2)
    channel, per_group = place[0], weight.shape[1]
    group = channel // per_group
    inputs = weight.shape[0] // groups
    taps = [
        [
            (k, (place[axis + 1] + pad[axis] - k * dilation[axis]) // stride[axis])
            for k in range(weight.shape[axis + 2])
            if (place[axis + 1] + pad[axis] - k * dilation[axis]) % stride[axis] == 0
            and 0 <= (place[axis + 1] + pad[axis] - k * dilation[axis]) // stride[axis] < x.shape[axis + 1]
        ]
        for axis in (0, 1)
    ]
    rows, columns = ([source for _, source in taps[axis]] for axis in (0, 1))
    part = x[group * inputs : (group + 1) * inputs]
    patch = part[:, rows][:, :, columns]
    own = weight[group * inputs : (group + 1) * inputs, channel % per_group]
    kernel = own[:, [k for k, _ in taps[0]]][:, :, [k for k, _ in taps[1]]]
    added = None if bias is None else float(bias[channel])
    there = rows and columns
    return {
        "formula": "sum of patch × kernel" + ("" if added is None else " + bias"),
        "computed": float((patch * kernel).sum()) + (added or 0.0),
        "patch": patch,
        "kernel": kernel,
        "bias": added,
        "window": (min(rows), max(rows), min(columns), max(columns)) if there else None,
    }


@rule("LocallyConnected2d")
def _locally_connected(op: Operation, place: Position) -> Parts:
    layer: Any = op.function
    x, size, pad = input_of(op), (layer.kernel_size,) * 2, (layer.padding,) * 2
    patch, window = windowed(x, place[1:], size, (layer.stride,) * 2, pad, (1, 1), 0.0)
    where = place[1] * layer.output_size[1] + place[2]
    kernel = layer.weight[place[0], :, where].detach().double().view(patch.shape)
    added = float(layer.bias.detach()[place])
    return {
        "formula": "sum of patch × kernel of this position + bias",
        "computed": float((patch * kernel).sum()) + added,
        "patch": patch,
        "kernel": kernel,
        "bias": added,
        "window": window,
    }


@rule("max_pool2d", "max_pool1d")
def _max_pool(op: Operation, place: Position) -> Parts:
    x = input_of(op)
    sides = x.dim() - 1
    size = per_side(op.argument(1, "kernel_size"), sides)
    stride = per_side(op.argument(2, "stride") or size, sides)
    pad = per_side(op.argument(3, "padding", 0), sides)
    dilation = per_side(op.argument(4, "dilation", 1), sides)
    patch, window = windowed(x[place[:1]][None], place[1:], size, stride, pad, dilation, -math.inf)
    return {
        "formula": "largest value of the patch",
        "computed": float(patch.max()),
        "patch": patch,
        "window": window,
    }


@rule("avg_pool2d", "avg_pool1d")
def _mean_pool(op: Operation, place: Position) -> Parts:
    x = input_of(op)
    sides = x.dim() - 1
    size = per_side(op.argument(1, "kernel_size"), sides)
    stride = per_side(op.argument(2, "stride") or size, sides)
    pad = per_side(op.argument(3, "padding", 0), sides)
    counted = bool(op.argument(5, "count_include_pad", True))
    maps = x[place[:1]][None]
    patch, window = windowed(maps, place[1:], size, stride, pad, (1,) * sides, 0.0)
    ones, _ = windowed(torch.ones_like(maps), place[1:], size, stride, pad, (1,) * sides, float(counted))
    # Windows that a rounded-up output size moves beyond the padding are divided by what they cover.
    sides_of = zip(x.shape[1:], pad, place[1:], stride, size, strict=True)
    limits = [min(n + 2 * p - q * s, k) for n, p, q, s, k in sides_of]
    divisor = math.prod(limits) if counted else float(ones.sum())
    divisor = op.argument(6, "divisor_override") or divisor
    return {
        "formula": f"sum of the patch / {divisor:g}",
        "computed": float(patch.sum()) / divisor,
        "patch": patch,
        "window": window,
    }


@rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(op: Operation, place: Position) -> Parts:
    maps = input_of(op)[place[0]]
    ends: list[int] = []
    for n, m, p in zip(maps.shape, op.output.shape[2:], place[1:], strict=True):
        ends += [p * n // m, -(-(p + 1) * n // m) - 1]
    patch = maps[ends[0] : ends[1] + 1, ends[2] : ends[3] + 1][None]
    mean = op.kind.startswith("adaptive_avg")
    return {
        "formula": "mean of the patch" if mean else "largest value of the patch",
        "computed": float(patch.mean() if mean else patch.max()),
        "patch": patch,
        "window": (ends[0], ends[1], ends[2], ends[3]),
    }
