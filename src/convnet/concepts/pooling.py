"""Pooling of numbers, and where its gradient goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional as F

from convnet.concepts.concept import matrix_text, numbers
from convnet.errors import DataError
from convnet.layers import ChannelMaxPool

LARGEST_STRIDE = 65_536

PoolKind = Literal["max", "mean", "channels"]


@dataclass(frozen=True)
class Pooling:
    """A pool over C×H×W values.

    Attributes:
        kind: "max", "mean", or "channels" for the maximum over groups of channels.
        size: The side of the window, or the number of channels of a group.
        stride: The step of the window.
        values: The input C×H×W.
        output: The pooled values.
        gradient: The gradient of the loss with respect to the output.
        input_gradient: The gradient with respect to the input.
    """

    kind: PoolKind
    size: int
    stride: int
    values: NDArray[Any]
    output: NDArray[Any]
    gradient: NDArray[Any]
    input_gradient: NDArray[Any]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as nested lists."""
        return {
            "kind": self.kind,
            "size": self.size,
            "stride": self.stride,
            "input": self.values.tolist(),
            "output": self.output.tolist(),
            "gradient": self.gradient.tolist(),
            "input_gradient": self.input_gradient.tolist(),
        }

    def __str__(self) -> str:
        parts = {
            "output": self.output,
            "gradient of the output": self.gradient,
            "gradient of the input": self.input_gradient,
        }
        return "\n\n".join(f"{name}\n{matrix_text(values)}" for name, values in parts.items())


def pooling(
    values: ArrayLike,
    size: int = 2,
    *,
    stride: int | None = None,
    kind: PoolKind = "max",
    gradient: ArrayLike | None = None,
) -> Pooling:
    """Pool values, and pass a gradient back to them.

        >>> from convnet.concepts import pooling
        >>> pooling([[2, 2, 7, 3], [9, 4, 6, 1], [8, 5, 2, 4], [3, 1, 2, 6]]).output.tolist()
        [[[9.0, 7.0], [8.0, 6.0]]]

    Args:
        values: H×W or C×H×W numbers.
        size: The side of the window; for "channels" the number of channels of a group.
        stride: The step of the window. Default: its size.
        kind: "max", "mean" or "channels".
        gradient: The gradient of the output, of its shape. Default: 1 everywhere.

    Returns:
        The output and the gradients.

    Raises:
        DataError: The window does not fit, or the gradient does not have the shape of the output.
    """
    array = numbers(values, "values", 2, 3)
    x = torch.tensor(array if array.ndim == 3 else array[None], requires_grad=True)
    step = size if stride is None else stride
    room = x.shape[0] if kind == "channels" else min(x.shape[1:])
    if not (1 <= size <= room and 1 <= step <= LARGEST_STRIDE):
        what = f"{room} channels" if kind == "channels" else f"{x.shape[1]}×{x.shape[2]} values"
        raise DataError(f"a window of {size} with stride {step} does not fit {what}")
    if kind == "channels":
        y = ChannelMaxPool(size, step)(x[None])[0]
    elif kind == "max":
        y = F.max_pool2d(x[None], size, step)[0]
    else:
        y = F.avg_pool2d(x[None], size, step)[0]
    upstream = torch.ones_like(y)
    if gradient is not None:
        given = torch.tensor(numbers(gradient, "gradient", 2, 3))
        given = given if given.dim() == 3 else given[None]
        if given.shape != y.shape:
            expected, got = ("×".join(map(str, shape)) for shape in (y.shape, given.shape))
            raise DataError(f"gradient: expected the shape of the output, {expected}, got {got}")
        upstream = given
    (back,) = torch.autograd.grad(y, x, upstream)
    found = (t.detach().numpy() for t in (x, y, upstream, back))
    return Pooling(kind, size, step, *found)
