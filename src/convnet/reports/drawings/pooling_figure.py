"""A pool and its gradient as grids of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.concepts.pooling import Pooling
from convnet.errors import DataError
from convnet.reports.drawings.number_grid import LARGEST, number_grid
from convnet.reports.style import CYCLE, bare, figure

CELL, GAP = 0.36, 1.6
MOST_CHANNELS = 6


def pooling_figure(found: Pooling) -> Figure:
    """Input, output, and both gradients, one row of grids per channel; windows have the colors of outputs.

    Raises:
        DataError: There are too many numbers to write.
    """
    channels = max(len(found.values), len(found.output))
    if max(found.values.shape[1:]) > LARGEST or channels > MOST_CHANNELS:
        raise DataError(
            f"pictures of pools have at most {LARGEST}×{LARGEST} values and {MOST_CHANNELS} channels"
        )
    columns: list[tuple[str, NDArray[Any]]] = [
        ("input", found.values),
        (f"{'maximum over channels' if found.kind == 'channels' else found.kind + ' pool'}", found.output),
        ("gradient of the output", found.gradient),
        ("gradient of the input", found.input_gradient),
    ]
    tall = max(found.values.shape[1], found.output.shape[1]) + GAP
    lefts = [0.0]
    for title, values in columns:
        lefts.append(lefts[-1] + max(values.shape[2], 0.19 * len(title) / CELL / 2.2) + GAP)
    with figure(CELL * lefts[-1] + 0.3, CELL * (tall * channels) + 0.35) as picture:
        axes = picture.subplots()
        bare(axes)
        for (title, values), left in zip(columns, lefts, strict=False):
            for channel, plane in enumerate(values):
                name = title if len(values) == 1 else f"{title}, channel {channel}"
                tint = _tint(found, title) if found.kind != "channels" else None
                number_grid(axes, plane, (left, channel * tall), name, signed="gradient" in title, tint=tint)
        axes.set(xlim=(-0.2, lefts[-1] - GAP + 0.4), ylim=(channels * tall - GAP + 0.2, -0.9))
        axes.set_aspect("equal", anchor="W")
    return picture


def _tint(found: Pooling, title: str) -> dict[tuple[int, int], str] | None:
    """The colors of windows that do not overlap; none for gradients."""
    rows, columns = found.output.shape[1:]
    if "gradient" in title or found.stride < found.size or rows * columns > len(CYCLE):
        return None
    places = {(i, j): CYCLE[i * columns + j] for i, j in np.ndindex(rows, columns)}
    if title != "input":
        return places
    steps = range(found.size)
    return {
        (i * found.stride + a, j * found.stride + b): color
        for (i, j), color in places.items() for a in steps for b in steps
    }  # fmt: skip
