"""Figures of one unit: the numbers that it reads and multiplies, and its receptive field."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import ImageDraw
from torch import Tensor

from convnet.errors import ModelError
from convnet.explain.arithmetic import Unit
from convnet.reports.grids import Image
from convnet.reports.style import VAL, bare, figure
from convnet.reports.thumbnails import enlarged, in_color

BEYOND = 0.3
"""How much of a receptive field is drawn beyond the image, relative to its side."""
OUTSIDE = 224
"""The gray of what lies outside the image."""
MOST_PANELS = 4
"""The largest number of channels of a patch in a figure, those with the largest products."""
RIGHT, DOWN = 0.3, 0.42
"""The gaps at the right of a map and below it, in inches."""
LARGEST_CELL = 7
"""The largest patch whose numbers are written."""


def products_figure(unit: Unit) -> Figure:
    """The figure of a unit that is drawn alone.

    Raises:
        ModelError: The unit is an operation on single numbers.
    """
    picture = unit_figure(unit)
    if picture is None:
        raise ModelError(
            f"layer '{unit.layer}' ({unit.kind}) has no patch to draw; choose one that reads several values"
        )
    return picture


def unit_figure(unit: Unit) -> Figure | None:
    """Patch, kernel and products, one row per channel; None for operations on single numbers."""
    if unit.patch is None:
        return None
    panels = {"patch": _as_maps(unit.patch)}
    if unit.kernel is not None:
        panels["kernel"] = _as_maps(unit.kernel)
        panels["products"] = panels["patch"] * panels["kernel"]
    count, tall, wide = panels["patch"].shape
    channels = _largest_channels(list(panels.values())[-1])
    cell = min(2.6, 0.45 * wide + 0.4) / wide if tall > 1 else 0.45  # inches
    right, down = RIGHT / cell, DOWN / cell
    width, height = len(panels) * (wide + right), len(channels) * (tall + down)
    with figure(max(4.5, cell * width + 0.5), cell * height + 0.6) as picture:
        axes = picture.subplots()  # one, because one per map is slow
        bare(axes)
        axes.set_anchor("W")
        for row, channel in enumerate(channels):
            _draw_channel(axes, panels, channel, row * (tall + down), cell)
        for column, name in enumerate(panels):
            axes.text(column * (wide + right), -0.08 / cell, name, fontsize=9.5, fontweight="bold")
        axes.set(xlim=(-0.75 / cell, width - right), ylim=(height - down + 0.25 / cell, -0.3 / cell))
        axes.set_aspect("equal")
        hidden = f" ({len(channels)} of {count} channels)" if len(channels) < count else ""
        title = f"{unit.layer} [{', '.join(map(str, unit.position))}] = {unit.value:.5g}{hidden}"
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10.5)
    return picture


def _largest_channels(values: NDArray[np.float64]) -> list[int]:
    """The channels with the largest sums, in order."""
    sums = np.nan_to_num(values, neginf=0.0).reshape(len(values), -1).sum(1)
    return sorted(np.argsort(-np.abs(sums), kind="stable")[:MOST_PANELS].tolist())


def _draw_channel(
    axes: Axes, panels: dict[str, NDArray[np.float64]], channel: int, top: float, cell: float
) -> None:
    """The maps of one channel side by side; places are in cells of `cell` inches."""
    tall, wide = panels["patch"].shape[1:]
    for column, (name, values) in enumerate(panels.items()):
        left = column * (wide + RIGHT / cell)
        _numbers(axes, values[channel], values, (left, top))
        if name == "products":
            total = f"sum {np.nansum(values[channel]):.4g}"
            axes.text(left, top + tall + 0.06 / cell, total, fontsize=8, va="top")
    axes.text(-0.05 / cell, top + tall / 2, f"channel {channel}", fontsize=8, ha="right", va="center")


def _as_maps(values: Tensor) -> NDArray[np.float64]:
    """D×I×J; a vector becomes one map of about as many rows as columns, or one row if it is short."""
    numbers = values.detach().double().numpy()
    if numbers.ndim == 3:
        return numbers
    if numbers.ndim == 2:
        return numbers[:, None, :]
    columns = len(numbers) if len(numbers) <= 12 else math.ceil(math.sqrt(len(numbers)))
    padded = np.full(-(-len(numbers) // columns) * columns, np.nan)
    padded[: len(numbers)] = numbers
    return padded.reshape(1, -1, columns)


def _numbers(
    axes: Axes, one: NDArray[np.float64], all_values: NDArray[np.float64], corner: tuple[float, float]
) -> None:
    """A map with its numbers, if they fit, and its upper left corner at a place of the axes."""
    known = all_values[np.isfinite(all_values)]
    largest = (float(np.abs(known).max()) if known.size else 0.0) or 1.0
    (left, top), (tall, wide) = corner, one.shape
    extent = (left, left + wide, top + tall, top)
    axes.imshow(one, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest", extent=extent)
    if max(one.shape) > LARGEST_CELL:
        return
    for (i, j), value in np.ndenumerate(one):
        text = "–" if not math.isfinite(value) else f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
        bright = math.isfinite(value) and abs(value) > 0.6 * largest
        color, size = "white" if bright else "#23272e", 7.5 if max(one.shape) <= 5 else 6
        place = (left + j + 0.5, top + i + 0.5)
        axes.text(*place, text, ha="center", va="center", fontsize=size, color=color)


def field_picture(image: Image, field: dict[str, list[int]]) -> Image:
    """The receptive field of a unit as a frame on the image, as pixels; small images are enlarged.

    Args:
        image: Pixels H×W×C.
        field: The first and last row and column, which may lie outside the image.
    """
    (top, bottom), (left, right) = field["rows"], field["columns"]
    height, width = image.shape[:2]
    # Of a field that extends far beyond the image only the inner part is drawn.
    tall, wide = round(BEYOND * height), round(BEYOND * width)
    above, below = (min(max(0, 1 + beyond), tall) for beyond in (-top, bottom - height + 1))
    before, after = (min(max(0, 1 + beyond), wide) for beyond in (-left, right - width + 1))
    margins = ((above, below), (before, after), (0, 0))
    large = enlarged(np.pad(in_color(image), margins, constant_values=OUTSIDE))
    scale = large.shape[0] // (above + height + below)
    picture = PIL.Image.fromarray(large)
    corners = (left + before, top + above, right + 1 + before, bottom + 1 + above)
    frame = [scale * corner - (number > 1) for number, corner in enumerate(corners)]
    ImageDraw.Draw(picture).rectangle(frame, outline=VAL, width=max(2, large.shape[0] // 120))
    return np.asarray(picture)
