"""The Toeplitz matrix of a kernel."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from convnet.concepts.matrix import ToeplitzMatrix
from convnet.reports.drawings.number_grid import LARGEST, number_grid
from convnet.reports.style import CYCLE, bare, figure

CELL, GAP = 0.34, 1.6


def matrix_figure(found: ToeplitzMatrix) -> Figure:
    """The kernel beside the matrix; every weight has one color."""
    rows, columns = found.matrix.shape
    title = f"{rows}×{columns}: {found.kernel.size} weights, {found.zeros:.0%} zeros"
    if max(rows, columns) > LARGEST:
        return _large(found, title)
    palette = {value: CYCLE[k % len(CYCLE)] for k, value in enumerate(_weights(found))}
    kernel = {place: palette[value] for place, value in np.ndenumerate(found.kernel) if value}
    matrix = {place: palette[value] for place, value in np.ndenumerate(found.matrix) if value}
    left = max(found.kernel.shape[1], 3) + GAP
    tall = max(rows, found.kernel.shape[0])
    with figure(CELL * (left + columns) + 0.4, CELL * (tall + 1) + 0.3) as picture:
        axes = picture.subplots()
        bare(axes)
        number_grid(axes, found.kernel, (0, 0), "kernel", tint=kernel)
        number_grid(axes, found.matrix, (left, 0), title, tint=matrix)
        axes.set(xlim=(-0.2, left + columns + 0.2), ylim=(tall + 0.2, -0.9))
        axes.set_aspect("equal", anchor="W")
    return picture


def _weights(found: ToeplitzMatrix) -> list[float]:
    """The distinct weights other than zero."""
    return [float(value) for value in dict.fromkeys(found.kernel.flat) if value]


def _large(found: ToeplitzMatrix, title: str) -> Figure:
    """The matrix as an image whose colors are the weights."""
    numbers = {0.0: 0} | {value: 1 + k % len(CYCLE) for k, value in enumerate(_weights(found))}
    indices = np.vectorize(numbers.__getitem__)(found.matrix)
    rows, columns = found.matrix.shape
    with figure(5.6, 5.6 * min(1.5, max(0.3, rows / columns)) + 0.4) as picture:
        axes = picture.subplots()
        axes.imshow(
            indices,
            cmap=ListedColormap(["#f4f6f9", *CYCLE]),
            vmin=0,
            vmax=len(CYCLE),
            interpolation="nearest",
        )
        axes.set(xlabel="input", ylabel="output", title=title)
        axes.grid(False)
    return picture
