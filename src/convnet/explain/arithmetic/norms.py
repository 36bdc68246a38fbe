"""Normalization layers."""

from __future__ import annotations

import math
from typing import Any

from convnet.explain.arithmetic.rule import Parts, input_of, rule, terms
from convnet.explain.arithmetic.unit import Position
from convnet.explain.capture import Operation


@rule("batch_norm")
def _batch_norm(op: Operation, place: Position) -> Parts:
    x, channel = float(input_of(op)[place]), place[0]
    mean, variance = (float(op.argument(i, n)[channel]) for i, n in ((1, "running_mean"), (2, "running_var")))
    weight, bias = (op.argument(i, n) for i, n in ((3, "weight"), (4, "bias")))
    scale = 1.0 if weight is None else float(weight[channel])
    shift = 0.0 if bias is None else float(bias[channel])
    eps = float(op.argument(7, "eps", 1e-5))
    return _normalized({"x": x, "mean": mean, "variance": variance, "ε": eps, "scale": scale, "shift": shift})


def _normalized(numbers: dict[str, float]) -> Parts:
    """x, mean, variance, ε, scale and shift, in that order."""
    x, mean, variance, eps, scale, shift = numbers.values()
    return {
        "formula": "(x − mean) / √(variance + ε) × scale + shift",
        "computed": (x - mean) / math.sqrt(variance + eps) * scale + shift,
        "terms": terms(numbers),
    }


@rule("layer_norm")
def _layer_norm(op: Operation, place: Position) -> Parts:
    x, shape = input_of(op), op.argument(1, "normalized_shape")
    own = x[place[: x.dim() - len(shape)]]
    rest = place[x.dim() - len(shape) :]
    weight, bias = op.argument(2, "weight"), op.argument(3, "bias")
    mean, variance = float(own.mean()), float(own.var(unbiased=False))
    scale = 1.0 if weight is None else float(weight[rest])
    shift = 0.0 if bias is None else float(bias[rest])
    eps = float(op.argument(4, "eps", 1e-5))
    value = float(x[place])
    return _normalized(
        {"x": value, "mean": mean, "variance": variance, "ε": eps, "scale": scale, "shift": shift}
    )


@rule("LocalResponseNorm")
def _response_norm(op: Operation, place: Position) -> Parts:
    layer: Any = op.function
    x = input_of(op)
    first = place[0] - layer.size // 2
    patch = x[max(0, first) : first + layer.size].movedim(0, -1)[place[1:]]
    value, total = float(x[place]), float(patch.square().sum())
    return {
        "formula": "x / (k + α × sum of the squares of neighboring channels) ^ β",
        "computed": value * (layer.k + layer.alpha * total) ** -layer.beta,
        "patch": patch,
        "terms": terms({"x": value, "k": layer.k, "α": layer.alpha, "sum": total, "β": layer.beta}),
    }
