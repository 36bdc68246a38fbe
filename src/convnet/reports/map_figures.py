"""Figures of activation maps, gradients and filters."""

from __future__ import annotations

from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.colorbar import Colorbar
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
TITLE, BAR = 0.4, 0.75
"""The height of the title and the width of the color bar with its numbers, in inches."""
WIDEST = 9.5
"""The largest width of a grid in inches; its tiles are at most an inch wide."""
GAP = 0.08
"""The gap between tiles, relative to their longer side."""
WHITE = 255
"""The index of white in a table of colors."""
COARSE = 0xFC
"""The bits of colors in strips, which makes their files smaller."""
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
    largest = limit or float(np.abs(maps).max()) or 1.0
    shown = f", first {len(maps)} of {len(values)}" if len(maps) < len(values) else ""
    with figure(1, 1) as picture:
        _draw_tiles(picture, color_table(signed)[levels(maps, scale, limit)], f"{title}{shown}")
        top = 1.0 if scale == "map" else largest
        bar = _color_bar(picture, -top if signed else 0.0, top)
        if scale == "map":
            bar.set_ticks([-1, 0, 1] if signed else [0, 1])
            bar.set_ticklabels(["−max", "0", "max"] if signed else ["min", "max"])
    return picture


def _color_bar(picture: Figure, low: float, high: float) -> Colorbar:
    """A color bar at the right of a figure with room for it."""
    width, height = picture.get_size_inches()
    tall = min(2.5, height - TITLE - 0.3)
    place = ((width - BAR) / width, 1 - (TITLE + 0.22 + tall) / height, 0.12 / width, tall / height)
    colors = mpl.cm.ScalarMappable(Range(low, high), _colors(low < 0))
    bar = picture.colorbar(colors, cax=picture.add_axes(place))
    bar.ax.tick_params(labelsize=8)
    return bar


def map_strip(values: Tensor, scale: Scale, limit: float | None = None) -> tuple[Image, Image]:
    """Maps C×H×W side by side, small ones enlarged, large ones reduced.

    Returns:
        Indices H×W of colors, and the table of colors 256×3.
    """
    maps = values.float().numpy()
    height = max(1, round(STRIP * maps.shape[1] / max(maps.shape[1:])))
    width = max(1, round(STRIP * maps.shape[2] / max(maps.shape[1:])))
    rows = (np.arange(max(height, 8)) * maps.shape[1] / max(height, 8)).astype(int)
    columns = (np.arange(width) * maps.shape[2] / width).astype(int)
    tiles = levels(maps[:, rows][:, :, columns], scale, limit) & COARSE
    spaced = np.pad(tiles, ((0, 0), (0, 0), (0, 3)), constant_values=WHITE)
    return spaced.transpose(1, 0, 2).reshape(len(rows), -1)[:, :-3], color_table(bool((maps < 0).any()))


def levels(maps: NDArray[np.float32], scale: Scale, limit: float | None = None) -> Image:
    """Maps C×H×W as indices of colors, 0…254; see `map_figure`."""
    known = np.nan_to_num(maps)
    signed = bool((known < 0).any())
    each = scale == "map"
    largest = np.abs(known).max((1, 2), keepdims=True) if each else limit or float(np.abs(known).max())
    low = -largest if signed else known.min((1, 2), keepdims=True) if each else 0.0
    span = np.asarray(largest - low)
    fraction = (known - low) / np.where(span > 0, span, 1.0)
    return (254 * np.clip(fraction, 0, 1)).round().astype(np.uint8)


def color_table(signed: bool) -> Image:
    """The colors of the indices 0…254, and white."""
    colors = _colors(signed)(np.linspace(0, 1, WHITE))[:, :3]
    return (255 * np.concatenate([colors, np.ones((1, 3))])).round().astype(np.uint8)


def _colors(signed: bool) -> Colormap:
    return mpl.colormaps["RdBu_r" if signed else "viridis"]


def _draw_tiles(picture: Figure, tiles: Image, title: str, columns: int | None = None) -> None:
    """Tiles N×H×W×3 as a grid, drawn as one image because one per tile is slow.

    Args:
        picture: The figure; its size is set.
        tiles: The tiles.
        title: The title.
        columns: The number of columns. Without it, it is chosen and the tiles are numbered.
    """
    numbered = columns is None
    columns = columns or min(len(tiles), 8 if len(tiles) <= 32 else 12)
    sheet, places, side = _sheet(tiles, columns, 0.22 if numbered else GAP)
    inch = max(side, sheet.shape[1] / WIDEST)
    height, width = sheet.shape[0] / inch, sheet.shape[1] / inch
    picture.set_size_inches(whole := (max(4.2, width + BAR + 0.2), height + TITLE))
    picture.set_layout_engine("none")  # everything has its place, and looking for one is slow
    picture.text(0.08 / whole[0], 1 - 0.1 / whole[1], title, va="top", fontweight="bold", fontsize=11)
    axes = picture.add_axes((0.08 / whole[0], 0.05 / whole[1], width / whole[0], height / whole[1]))
    bare(axes)
    axes.imshow(sheet, interpolation="nearest")
    for number, (row, column) in enumerate(places if numbered else []):
        axes.text(column - 0.5, row - 0.5 - 0.02 * side, str(number), fontsize=7, va="bottom")


def _sheet(tiles: Image, columns: int, room: float) -> tuple[Image, list[tuple[int, int]], int]:
    """Tiles on white with room above each; the corners; the longer side of a tile in pixels."""
    count, height, width = tiles.shape[:3]
    # Enlarged, so that the gaps of small tiles are narrow; a row of numbers becomes a band.
    times = max(1, -(-24 // max(height, width)))
    tall = times * (height if height > 1 or width == 1 else max(1, width // 4))
    wide = times * width
    side = max(tall, wide)
    above, beside = round(room * side), round(GAP * side)
    rows = -(-count // columns)
    sheet = np.full((rows * (above + tall), columns * (beside + wide) - beside, 3), 255, np.uint8)
    places = [(above + i // columns * (above + tall), i % columns * (beside + wide)) for i in range(count)]
    for (row, column), tile in zip(places, tiles, strict=True):
        sheet[row : row + tall, column : column + wide] = tile.repeat(tall // height, 0).repeat(times, 1)
    return sheet, places, side


def filter_figure(weights: Tensor, title: str) -> Figure:
    """Filters D×C×I×J: as color images if C is 3, else one column of channels per filter."""
    filters = weights.detach().float()
    if filters.shape[1] in (1, 3):
        return _filter_images(filters, title)
    some = filters[:MOST_FILTERS, :MOST_CHANNELS].numpy()
    d, c, i, j = some.shape
    largest = float(np.abs(some).max()) or 1.0
    tiles = _around_zero(some.transpose(1, 0, 2, 3).reshape(c * d, i, j), largest)
    with figure(1, 1) as picture:
        _draw_tiles(picture, color_table(True)[tiles], title, columns=d)
        _color_bar(picture, -largest, largest)
    return picture


def filter_note(weights: Tensor) -> str:
    """What a figure of filters D×C×I×J shows, and how many of them."""
    filters, channels = weights.shape[:2]
    if channels in (1, 3):
        return ""
    note = "One column per filter, one row per input channel."
    if filters <= MOST_FILTERS and channels <= MOST_CHANNELS:
        return note
    shown, of_each = min(filters, MOST_FILTERS), min(channels, MOST_CHANNELS)
    return f"{note} The first {shown:,} of {filters:,} filters and {of_each:,} of {channels:,} channels."


def _filter_images(filters: Tensor, title: str) -> Figure:
    """Filters of one channel with zero as white, filters of three as color images with zero as gray."""
    some = filters[: 4 * MOST_FILTERS].numpy()
    hidden = f", first {len(some)} of {len(filters)}" if len(some) < len(filters) else ""
    if some.shape[1] == 1:
        tiles = color_table(True)[_around_zero(some[:, 0], float(np.abs(some).max()))]
    else:
        tiles = _around_zero(some, np.abs(some).max((1, 2, 3), keepdims=True)).transpose(0, 2, 3, 1)
    with figure(1, 1) as picture:
        _draw_tiles(picture, tiles, f"{title}{hidden}")
    return picture


def _around_zero(values: NDArray[np.float32], largest: float | NDArray[np.float32]) -> Image:
    """Values as 0…254, with 127 for zero."""
    scaled = 0.5 + 0.5 * values / np.where(np.asarray(largest) > 0, largest, 1.0)
    return (254 * scaled).round().astype(np.uint8)
