"""Figures of activation maps, gradients and filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.colors import Normalize as Range
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from convnet.reports.grids import Image
from convnet.reports.style import bare, figure

Scale = Literal["map", "layer", "shared"]

MOST_MAPS = 64
"""The largest number of maps of a layer in a figure."""
MOST_FILTERS, MOST_CHANNELS = 32, 24
"""The largest number of filters, and of channels of each, in a figure."""
STRIP = 64
"""The side of a map in a strip of maps, in pixels."""


def map_figure(values: Tensor, title: str, *, scale: Scale = "map", limit: float | None = None) -> Figure:
    """Maps C×H×W as a grid with a color bar.

    Args:
        values: Activations, or gradients.
        title: The title.
        scale: "map": each map from its own smallest to its largest value; "layer" and "shared": one scale.
        limit: The largest absolute value of the shared scale. Default: that of these maps.
    """
    maps = values[:MOST_MAPS].float().numpy()
    signed = bool((maps < 0).any())
    tiles = colored(maps, scale, limit)
    largest = limit or float(np.abs(maps).max()) or 1.0
    common = Range(-largest if signed else 0.0, largest)
    colors = _colors(signed)
    shown = f", first {len(maps)} of {len(values)}" if len(maps) < len(values) else ""
    with figure(1, 1) as picture:
        axes = _draw_tiles(picture, tiles, f"{title}{shown}")
        bar = mpl.cm.ScalarMappable(Range(-1 if signed else 0, 1) if scale == "map" else common, colors)
        beside = picture.colorbar(bar, ax=axes, fraction=0.03, aspect=12)
        if scale == "map":
            beside.set_ticks([-1, 0, 1] if signed else [0, 1])
            beside.set_ticklabels(["−max", "0", "max"] if signed else ["min", "max"], fontsize=8)
    return picture


def _colors(signed: bool) -> Colormap:
    return mpl.colormaps["RdBu_r" if signed else "viridis"]


def colored(maps: NDArray[np.float32], scale: Scale, limit: float | None = None) -> list[NDArray[np.float64]]:
    """Maps C×H×W as images H×W×3 of values 0…1; see `map_figure`."""
    signed = bool((maps < 0).any())
    largest = limit or float(np.abs(maps).max()) or 1.0
    common = Range(-largest if signed else 0.0, largest)
    ranges = [Range(*_ends(one, signed)) if scale == "map" else common for one in maps]
    colors = _colors(signed)  # every one that is looked up makes its table anew
    return [colors(own(one))[:, :, :3] for own, one in zip(ranges, maps, strict=True)]


def map_strip(values: Tensor, scale: Scale, limit: float | None = None) -> Image:
    """Maps C×H×W side by side as pixels, small maps enlarged, large ones reduced."""
    maps = values.float().numpy()
    height = max(1, round(STRIP * maps.shape[1] / max(maps.shape[1:])))
    width = max(1, round(STRIP * maps.shape[2] / max(maps.shape[1:])))
    rows = (np.arange(max(height, 8)) * maps.shape[1] / max(height, 8)).astype(int)
    columns = (np.arange(width) * maps.shape[2] / width).astype(int)
    tiles = colored(maps[:, rows][:, :, columns], scale, limit)
    gap = np.ones((len(rows), 3, 3))
    spaced = [part for tile in tiles for part in (tile, gap)][:-1]
    return (255 * np.concatenate(spaced, 1)).round().astype(np.uint8)


def _draw_tiles(picture: Figure, tiles: Sequence[NDArray[np.float64]], title: str) -> Axes:
    """Numbered tiles H×W×3 of one size as a grid, drawn as one image because one per tile is slow."""
    columns = min(len(tiles), 8 if len(tiles) <= 32 else 12)
    sheet, places, side = _sheet(tiles, columns)
    height, width = sheet.shape[0] / side, sheet.shape[1] / side
    picture.set_size_inches(max(3.2, width + 0.9), 0.55 + height)
    axes = picture.subplots()
    bare(axes)
    axes.set_title(title)
    axes.imshow(sheet, interpolation="nearest")
    for number, (row, column) in enumerate(places):
        axes.text(column - 0.5, row - 0.5 - 0.02 * side, str(number), fontsize=7, va="bottom")
    return axes


def _sheet(tiles: Sequence[NDArray[np.float64]], columns: int) -> tuple[Image, list[tuple[int, int]], int]:
    """Tiles on white with room for a number above each; the corners; the longer side of a tile in pixels."""
    # Enlarged, so that the gaps of small tiles are narrow.
    times = max(1, -(-24 // max(tiles[0].shape[:2])))
    tall = times * (tiles[0].shape[0] if tiles[0].shape[0] > 1 else max(1, tiles[0].shape[1] // 4))
    wide = times * tiles[0].shape[1]
    side = max(tall, wide)
    above, beside = round(0.22 * side), round(0.08 * side)
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (above + tall), columns * (beside + wide) - beside, 3), 255, np.uint8)
    places = [
        (above + i // columns * (above + tall), i % columns * (beside + wide)) for i in range(len(tiles))
    ]
    for (row, column), tile in zip(places, tiles, strict=True):
        pixels = (255 * tile).round().astype(np.uint8)
        sheet[row : row + tall, column : column + wide] = pixels.repeat(tall // len(tile), 0).repeat(times, 1)
    return sheet, places, side


def _ends(one: NDArray[np.float32], signed: bool) -> tuple[float, float]:
    if signed:
        largest = float(np.abs(one).max()) or 1.0
        return -largest, largest
    low, high = float(one.min()), float(one.max())
    return low, high if high > low else low + 1


def filter_figure(weights: Tensor, title: str) -> Figure:
    """Filters D×C×I×J: as color images if C is 3, else one row of channels per filter."""
    filters = weights.detach().float()
    if filters.shape[1] in (1, 3):
        return _filter_images(filters, title)
    some = filters[:MOST_FILTERS, :MOST_CHANNELS].numpy()
    d, c, i, j = some.shape
    sheet = np.full((d * (i + 1) - 1, c * (j + 1) - 1), np.nan, np.float32)
    for row in range(d):
        for column in range(c):
            top, left = row * (i + 1), column * (j + 1)
            sheet[top : top + i, left : left + j] = some[row, column]
    largest = float(np.abs(some).max()) or 1.0
    width = 10.0
    height = min(14.0, width * sheet.shape[0] / sheet.shape[1] + 0.8)
    hidden = ""
    if some.size < filters.numel():
        hidden = f"; {d} of {filters.shape[0]} filters, {c} of {filters.shape[1]} channels"
    with figure(width, max(1.6, height)) as picture:
        axes = picture.subplots()
        image = axes.imshow(sheet, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        axes.set_title(f"{title}: one row per filter, one column per input channel{hidden}", fontsize=9.5)
        bare(axes)
        picture.colorbar(image, ax=axes, shrink=0.6, fraction=0.03)
    return picture


def _filter_images(filters: Tensor, title: str) -> Figure:
    """Filters of one channel with zero as white, filters of three as color images with zero as gray."""
    some = filters[: 4 * MOST_FILTERS].numpy()
    hidden = f", first {len(some)} of {len(filters)}" if len(some) < len(filters) else ""
    largest = float(np.abs(some).max()) or 1.0
    if some.shape[1] == 1:
        colors = mpl.colormaps["RdBu_r"]
        tiles = [colors(0.5 + 0.5 * one[0] / largest)[:, :, :3] for one in some]
    else:
        own = [float(np.abs(one).max()) or 1.0 for one in some]
        tiles = [(0.5 + 0.5 * one / limit).transpose(1, 2, 0) for one, limit in zip(some, own, strict=True)]
    with figure(1, 1) as picture:
        _draw_tiles(picture, tiles, f"{title}{hidden}")
    return picture
