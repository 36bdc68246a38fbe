"""Activation functions and their derivatives."""

from __future__ import annotations

from matplotlib.figure import Figure

from convnet.concepts.functions import ActivationCurves, formula
from convnet.reports.style import TRAIN, VAL, figure


def activation_figure(found: ActivationCurves) -> Figure:
    """One panel per function, with its derivative dashed."""
    columns = min(3, len(found.names))
    rows = -(-len(found.names) // columns)
    x = found.points
    with figure(3.2 * columns, 2.5 * rows + 0.3) as picture:
        grid = picture.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(found.names) :]:
            axes.set_axis_off()
        for axes, name in zip(grid.flat, found.names, strict=False):
            y, slopes = found.values(name, x)
            axes.axhline(0, color="#9aa0a8", linewidth=0.8)
            axes.axvline(0, color="#9aa0a8", linewidth=0.8)
            axes.plot(x, y, color=TRAIN, label="function")
            axes.plot(x, slopes, color=VAL, linestyle="--", label="derivative")
            axes.set_title(name)
            axes.set_xlabel(formula(name).partition(";")[0], fontsize=8.5)
        picture.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return picture
