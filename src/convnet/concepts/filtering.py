"""Filtering of numbers or an image with one kernel: convolution beside cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from convnet.concepts.concept import matrix_text, numbers, short
from convnet.errors import DataError
from convnet.features.filters import Border, FixedFilter

MOST_PIXELS = 300_000_000
MOST_SHOWN = 64
"""The largest number of products that are written out."""


@dataclass(frozen=True)
class Place:
    """The arithmetic of a filter at one place of one channel.

    Attributes:
        values: What the window reads, K×L.
        weights: The weights that they are multiplied by, K×L; of a convolution the flipped kernel.
    """

    values: NDArray[Any]
    weights: NDArray[Any]

    @property
    def total(self) -> float:
        """The sum of the products."""
        return float((self.values * self.weights).sum())

    def __str__(self) -> str:
        pairs = list(zip(self.values.flat, self.weights.flat, strict=True))
        if len(pairs) > MOST_SHOWN:
            return f"the sum of {len(pairs)} products = {short(self.total)}"
        products = [f"{_factor(a)}·{_factor(w)}" for a, w in pairs if w]
        return f"{' + '.join(products) or '0'} = {short(self.total)}"


@dataclass(frozen=True)
class Filtering:
    """Values filtered with one kernel.

    Attributes:
        values: The input, C×H×W; a signal has one row.
        kernel: K×L with odd sides; a signal's has one row.
        border: What lies outside the input: "zeros", "replicate" or "reflect".
        is_signal: Whether the input is one row of numbers.
    """

    values: NDArray[Any]
    kernel: NDArray[Any]
    border: Border
    is_signal: bool

    @property
    def convolution(self) -> NDArray[Any]:
        """True convolution, which flips the kernel."""
        return self._filtered(self.kernel)

    @property
    def correlation(self) -> NDArray[Any]:
        """Cross-correlation, as convolution layers compute it: the kernel is not flipped."""
        return self._filtered(self.kernel[::-1, ::-1])

    @property
    def is_symmetric(self) -> bool:
        """Whether both are the same, because the flipped kernel is the kernel."""
        return np.array_equal(self.kernel, self.kernel[::-1, ::-1])

    def at(self, row: int, column: int, channel: int = 0) -> Place:
        """The arithmetic of the convolution at a place, counted from 0.

        Raises:
            DataError: The place is outside the input.
        """
        channels, height, width = self.values.shape
        if not (0 <= channel < channels and 0 <= row < height and 0 <= column < width):
            raise DataError(f"place {row},{column}: the input has {height} rows and {width} columns")
        up, left = (side // 2 for side in self.kernel.shape)
        mode: Any = {"zeros": "constant", "replicate": "edge", "reflect": "reflect"}[self.border]
        padded = np.pad(self.values[channel], ((up, up), (left, left)), mode)
        window = padded[row : row + self.kernel.shape[0], column : column + self.kernel.shape[1]]
        return Place(window, self.kernel[::-1, ::-1])

    def to_dict(self) -> dict[str, Any]:
        """The numbers as nested lists, without the channel of a single one and the row of a signal."""

        def pick(volume: NDArray[Any]) -> Any:
            plane = volume[0] if len(volume) == 1 else volume
            return (plane[0] if self.is_signal else plane).tolist()

        return {
            "input": pick(self.values),
            "kernel": self.kernel[0].tolist() if self.is_signal else self.kernel.tolist(),
            "border": self.border,
            "convolution": pick(self.convolution),
            "correlation": pick(self.correlation),
        }

    def __str__(self) -> str:
        parts = {"input": self.values, "kernel": self.kernel, "convolution": self.convolution}
        if not self.is_symmetric:
            parts["cross-correlation (the kernel is not flipped)"] = self.correlation
        return "\n\n".join(f"{name}\n{matrix_text(values)}" for name, values in parts.items())

    def _filtered(self, kernel: NDArray[Any]) -> NDArray[Any]:
        module = FixedFilter(torch.tensor(kernel.copy()), border=self.border).double()
        found: NDArray[Any] = module(torch.tensor(self.values)[None])[0].numpy()
        return found


def filtering(values: ArrayLike, kernel: ArrayLike, *, border: Border = "zeros") -> Filtering:
    """Filter a signal or an image with a kernel.

        >>> from convnet.concepts import filtering
        >>> found = filtering([10, 50, 60, 10, 20, 40, 30], [1 / 3, 1 / 3, 1 / 3])
        >>> [round(value, 3) for value in found.convolution[0, 0].tolist()]
        [20.0, 40.0, 40.0, 30.0, 23.333, 30.0, 23.333]

    Args:
        values: L, H×W or C×H×W numbers. Each channel is filtered alone.
        kernel: As many dimensions as the values have without channels; its sides are odd, at most 99.
        border: What lies outside the input: "zeros", "replicate" (the border value) or "reflect".

    Returns:
        The convolution, the cross-correlation, and the arithmetic at any place.

    Raises:
        DataError: The kernel does not fit the values.
    """
    array = numbers(values, "input", 1, 2, 3, most=MOST_PIXELS)
    weights = numbers(kernel, "kernel", 1, 2)
    is_signal = array.ndim == 1
    if is_signal != (weights.ndim == 1):
        raise DataError(
            "a signal takes a kernel in one dimension, [1, 2, 1], and an image one in two, [[1, 2, 1]]"
        )
    if any(side % 2 == 0 or side > 99 for side in weights.shape):
        size = "×".join(map(str, weights.shape))
        raise DataError(
            f"kernel: expected odd sides up to 99, so that it has a center, got {size}; "
            "add a row or column of zeros"
        )
    volume = array.reshape(1, 1, -1) if is_signal else array if array.ndim == 3 else array[None]
    kernel_ = weights[None] if is_signal else weights
    if border not in get_args(Border):
        raise DataError(f"border '{border}': expected zeros, replicate or reflect")
    if border == "reflect" and any(k // 2 >= n for k, n in zip(kernel_.shape, volume.shape[1:], strict=True)):
        raise DataError("border 'reflect': the input is too small for this kernel; use zeros or replicate")
    return Filtering(volume, kernel_, border, is_signal)


def _factor(value: float) -> str:
    return f"({short(value)})" if value < 0 else short(value)
