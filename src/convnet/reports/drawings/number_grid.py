"""Grids of numbers, as the lectures draw matrices and small images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

LINE, INK = "#8fa8cf", "#23272e"
BLUE, RED = np.array([0.21, 0.40, 0.72]), np.array([0.77, 0.24, 0.29])
LARGEST = 16
"""The largest side of a grid whose numbers are written."""


def number_grid(
    axes: Axes,
    values: NDArray[Any],
    corner: tuple[float, float],
    title: str = "",
    *,
    signed: bool = False,
    tint: Mapping[tuple[int, int], str] | None = None,
) -> None:
    """Draw a matrix with cells of side 1, its numbers written in them.

    Args:
        axes: The axes; y points down.
        values: H×W.
        corner: The upper left corner, x and y.
        title: Written above the grid.
        signed: Whether positive and negative numbers are blue and red; otherwise large ones are darker.
        tint: Colors of single cells.
    """
    left, top = corner
    rows, columns = values.shape
    largest = float(np.abs(values).max()) or 1.0
    low, high = float(values.min()), float(values.max())
    for (i, j), value in np.ndenumerate(values):
        share = value / largest if signed else (value - low) / ((high - low) or 1.0)
        color = (tint or {}).get((i, j))
        face = to_rgba(color, 0.55) if color else _shade(float(share))
        axes.add_patch(Rectangle((left + j, top + i), 1, 1, facecolor=face, edgecolor=LINE, linewidth=0.7))
        if max(rows, columns) <= LARGEST:
            text = _text(float(value))
            size = 8.5 if len(text) <= 4 else 6.5
            axes.text(
                left + j + 0.5, top + i + 0.52, text, ha="center", va="center", fontsize=size, color=INK
            )
    axes.text(left, top - 0.2, title, fontsize=9, va="bottom", fontweight="bold")


def _shade(share: float) -> tuple[float, float, float]:
    """White for 0, pale blue for 1, pale red for −1."""
    base = BLUE if share >= 0 else RED
    mixed = 1 - 0.5 * abs(share) * (1 - base)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def _text(value: float) -> str:
    if abs(value - round(value)) < 1e-6 * max(1.0, abs(value)) and abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.2f}" if 0.01 <= abs(value) < 100 else f"{value:.2g}"
