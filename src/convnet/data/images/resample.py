"""Antialiased resizing in NumPy: the same integers as torch's `interpolate` of uint8 images.

The width is filtered first, then the height. Weights are integers below 2¹⁵. Each sum is rounded to uint8.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["bilinear", "bicubic"]
REACH: dict[Interpolation, float] = {"bilinear": 1.0, "bicubic": 2.0}
"""How far a filter reaches, in pixels of the smaller of the two images."""
CUBIC = -0.5
LARGEST_WEIGHT = 1 << 15
LARGEST_EXACT = 1 << 24
"""Up to here every integer is a float32."""
MOST_BITS = 22
BLOCK = 16
"""Rows or columns that are computed by one product of matrices, at most."""
LARGEST_HELD = 4 << 20
"""The most memory that a thread keeps for intermediate results, in bytes."""


class _Block(NamedTuple):
    """Rows `first`…`last` of the output: a matrix times the rows `low`…`high` of the input. Or columns."""

    first: int
    last: int
    low: int
    high: int
    matrix: NDArray[np.floating]


def resample(
    pixels: NDArray[np.uint8], size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> NDArray[np.uint8]:
    """Resize an image.

    Args:
        pixels: uint8 H×W×C.
        size: Height and width.
        interpolation: The filter.

    Returns:
        uint8 of the new size.
    """
    height, width = size
    if width != pixels.shape[1]:
        pixels = _columns(pixels, width, interpolation)
    return pixels if height == pixels.shape[0] else _rows(pixels, height, interpolation)


def _rows(pixels: NDArray[np.uint8], count: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """As many rows as `count`, each a weighted sum of rows of the image."""
    height, width, channels = pixels.shape
    blocks = _blocks(height, count, interpolation)
    dtype = blocks[0].matrix.dtype
    whole, made = pixels.reshape(height, -1), np.empty((count, width * channels), np.uint8)
    for band in _bands(whole.shape[1], max(height, count) * dtype.itemsize):
        given = _scratch.floats("given", whole[:, band].shape, dtype)
        found = _scratch.floats("found", made[:, band].shape, dtype)
        given[:] = whole[:, band]
        for block in blocks:
            np.matmul(block.matrix, given[block.low : block.high], out=found[block.first : block.last])
        made[:, band] = _rounded(found, interpolation)
    return made.reshape(count, width, channels)


def _columns(pixels: NDArray[np.uint8], count: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """As `_rows` for columns. Channels are neighbors in memory, so they are columns of their own here."""
    height, width, channels = pixels.shape
    blocks = _channel_blocks(width, count, channels, interpolation)
    dtype = blocks[0].matrix.dtype
    whole, made = pixels.reshape(height, -1), np.empty((height, count * channels), np.uint8)
    for band in _bands(height, max(width, count) * channels * dtype.itemsize):
        given = _scratch.floats("given", whole[band].shape, dtype)
        found = _scratch.floats("found", made[band].shape, dtype)
        given[:] = whole[band]
        for block in blocks:
            np.matmul(given[:, block.low : block.high], block.matrix, out=found[:, block.first : block.last])
        made[band] = _rounded(found, interpolation)
    return made.reshape(height, count, channels)


def _bands(length: int, line: int) -> Iterator[slice]:
    """Slices of `length` lines of `line` bytes, so that one fits into the memory that a thread keeps."""
    step = max(1, LARGEST_HELD // line)
    return (slice(first, min(length, first + step)) for first in range(0, length, step))


def _rounded(values: NDArray[np.floating], interpolation: Interpolation) -> NDArray[np.floating]:
    """Numbers that become the nearest integers, halves up, when what is behind the point is cut off."""
    values += 0.5
    if interpolation == "bicubic":  # whose weights may be negative
        np.maximum(values, 0, out=values)
        np.minimum(values, 255, out=values)
    return values


class _Scratch(threading.local):
    """Memory of a thread for intermediate results, so that the system need not provide it for every image."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.uint8]] = {}

    def floats(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[np.floating]:
        """Numbers of any values, of at most `LARGEST_HELD` bytes unless one line has more."""
        size = shape[0] * shape[1] * dtype.itemsize
        if size > LARGEST_HELD:
            return np.empty(shape, dtype)
        if name not in self._held:
            self._held[name] = np.empty(LARGEST_HELD, np.uint8)
        return self._held[name][:size].view(dtype).reshape(shape)


_scratch = _Scratch()


@lru_cache(maxsize=64)
def _channel_blocks(length: int, target: int, channels: int, interpolation: Interpolation) -> list[_Block]:
    """The filter from `length` to `target` columns of some channels each, for products from the right."""
    found = []
    for first, last, low, high, matrix in _blocks(length, target, interpolation):
        wide = np.kron(matrix.T, np.eye(channels, dtype=matrix.dtype))
        found.append(_Block(channels * first, channels * last, channels * low, channels * high, wide))
    return found


@lru_cache(maxsize=64)
def _blocks(length: int, target: int, interpolation: Interpolation) -> list[_Block]:
    """The filter from `length` to `target` rows, in numbers for which all sums are exact."""
    starts, weights, unit = _weights(length, target, interpolation)
    taps = weights.shape[1]
    largest = 255 * float(np.abs(weights).sum(1).max()) + 0.5
    exact = np.float32 if largest * unit <= LARGEST_EXACT else np.float64
    found = []
    step = max(1, min(BLOCK, BLOCK * target // length))
    for first in range(0, target, step):
        last = min(target, first + step)
        low, high = int(starts[first]), min(length, int(starts[last - 1]) + taps)
        matrix = np.zeros((last - first, high - low), exact)
        for place in range(first, last):
            begin = int(starts[place]) - low
            count = min(taps, high - low - begin)
            matrix[place - first, begin : begin + count] = weights[place, :count]
        found.append(_Block(first, last, low, high, matrix))
    return found


def _weights(
    length: int, target: int, interpolation: Interpolation
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """The first input row of each output row, the weights of the rows from there on, and their unit."""
    scale = length / target
    reach = REACH[interpolation] * max(scale, 1.0)
    taps = int(np.ceil(reach)) * 2 + 1
    centers = scale * (np.arange(target) + 0.5)
    starts = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    ends = np.minimum((centers + reach + 0.5).astype(np.int64), length)
    places = starts[:, None] + np.arange(taps)
    distances = np.abs((places - centers[:, None] + 0.5) / max(scale, 1.0))
    weights = np.where(places < ends[:, None], _filter(distances, interpolation), 0.0)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1.0, total)
    return starts, *_fixed_point(weights)


def _filter(distances: NDArray[np.float64], interpolation: Interpolation) -> NDArray[np.float64]:
    if interpolation == "bilinear":
        return np.maximum(0.0, 1 - distances)
    near = ((CUBIC + 2) * distances - (CUBIC + 3)) * distances * distances + 1
    far = (((distances - 5) * distances + 8) * distances - 4) * CUBIC
    return np.where(distances < 1, near, np.where(distances < 2, far, 0.0))


def _fixed_point(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights rounded to as many binary places as fit into 16 bits, and the number that one stands for."""
    bits = 0
    while bits < MOST_BITS and int(0.5 + weights.max() * (1 << (bits + 1))) < LARGEST_WEIGHT:
        bits += 1
    unit = float(1 << bits)
    return np.trunc(weights * unit + np.where(weights < 0, -0.5, 0.5)) / unit, unit
