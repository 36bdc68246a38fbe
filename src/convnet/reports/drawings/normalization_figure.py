"""Values before and after a normalization."""

from __future__ import annotations

from matplotlib.figure import Figure

from convnet.concepts.normalization import Normalization
from convnet.errors import DataError
from convnet.reports.drawings.number_grid import LARGEST, number_grid
from convnet.reports.style import bare, figure

CELL, GAP = 0.46, 1.4


def normalization_figure(found: Normalization) -> Figure:
    """The table of samples and channels, and the normalized one.

    Raises:
        DataError: There are too many numbers to write.
    """
    rows, columns = found.values.shape
    if max(rows, columns) > LARGEST:
        raise DataError(
            f"pictures of normalizations have at most {LARGEST}×{LARGEST} values, got {rows}×{columns}"
        )
    left = max(columns, 4) + GAP
    name = "batch norm" if found.kind == "batch" else "local response norm"
    with figure(CELL * (left + max(columns, 5)) + 0.5, CELL * (rows + 1.3) + 0.3) as picture:
        axes = picture.subplots()
        bare(axes)
        number_grid(axes, found.values, (0, 0), "samples × channels")
        number_grid(axes, found.output, (left, 0), name, signed=True)
        axes.set(xlim=(-0.2, left + max(columns, 5)), ylim=(rows + 0.2, -0.9))
        axes.set_aspect("equal", anchor="W")
    return picture
