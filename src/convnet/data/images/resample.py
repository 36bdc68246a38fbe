"""Antialiased resizing in NumPy: the same integers as torch's `interpolate` of uint8 images.

Rows are filtered first, then columns. Weights are integers below 2¹⁵, and each sum is rounded to uint8.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["bilinear", "bicubic"]
REACH: dict[Interpolation, float] = {"bilinear": 1.0, "bicubic": 2.0}
"""How far a filter reaches, in pixels of the smaller of the two images."""
CUBIC = -0.5
LARGEST_WEIGHT = 1 << 15
MOST_BITS = 22
BLOCK = 8
"""Places that are computed by one product of matrices: few, so that BLAS starts no threads of its own."""


class _Block(NamedTuple):
    """Places `first`…`last` of the output: a matrix times the places `low`…`high` of the input."""

    first: int
    last: int
    low: int
    high: int
    matrix: NDArray[np.float64]


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
    values = pixels.transpose(2, 0, 1)
    if width != values.shape[2]:
        given = values.astype(np.float64)
        wide = np.empty((*values.shape[:2], width))
        for block in _blocks(values.shape[2], width, interpolation):
            part = given[:, :, block.low : block.high]
            np.matmul(part, block.matrix.T, out=wide[:, :, block.first : block.last])
        values = _rounded(wide)
    if height != values.shape[1]:
        given = values.astype(np.float64)
        tall = np.empty((values.shape[0], height, width))
        for block in _blocks(values.shape[1], height, interpolation):
            part = given[:, block.low : block.high]
            np.matmul(block.matrix, part, out=tall[:, block.first : block.last])
        values = _rounded(tall)
    return values.transpose(1, 2, 0)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Rounded to the nearest integer, halves up: the conversion cuts off what is behind the point."""
    values += 0.5
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


@lru_cache(maxsize=64)
def _blocks(length: int, target: int, interpolation: Interpolation) -> list[_Block]:
    """The filter from `length` to `target` places. The products are exact: all numbers have below 53 bits."""
    starts, weights = _weights(length, target, interpolation)
    taps = weights.shape[1]
    found = []
    for first in range(0, target, BLOCK):
        last = min(target, first + BLOCK)
        low, high = int(starts[first]), min(length, int(starts[last - 1]) + taps)
        matrix = np.zeros((last - first, high - low))
        for place in range(first, last):
            begin = int(starts[place]) - low
            count = min(taps, high - low - begin)
            matrix[place - first, begin : begin + count] = weights[place, :count]
        found.append(_Block(first, last, low, high, matrix))
    return found


def _weights(
    length: int, target: int, interpolation: Interpolation
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first input place of each output place, and the weights of the places from there on."""
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
    return starts, _fixed_point(weights)


def _filter(distances: NDArray[np.float64], interpolation: Interpolation) -> NDArray[np.float64]:
    if interpolation == "bilinear":
        return np.maximum(0.0, 1 - distances)
    near = ((CUBIC + 2) * distances - (CUBIC + 3)) * distances * distances + 1
    far = (((distances - 5) * distances + 8) * distances - 4) * CUBIC
    return np.where(distances < 1, near, np.where(distances < 2, far, 0.0))


def _fixed_point(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights rounded to as many binary places as fit into 16 bits."""
    bits = 0
    while bits < MOST_BITS and int(0.5 + weights.max() * (1 << (bits + 1))) < LARGEST_WEIGHT:
        bits += 1
    unit = float(1 << bits)
    return np.trunc(weights * unit + np.where(weights < 0, -0.5, 0.5)) / unit
