"""Activation maps, gradients and filters as sheets of tiles.

They are drawn as pixels and not as figures, because drawing a figure takes longer than running the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import matplotlib as mpl
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont
from torch import Tensor

from convnet.reports.grids import Image
from convnet.reports.thumbnails import palette_uri, png_uri

Scale = Literal["map", "layer", "shared"]

MOST_MAPS = 64
"""The largest number of maps of a layer on a sheet."""
MOST_FILTERS, MOST_CHANNELS = 32, 24
"""The largest number of filters, and of channels of each, on a sheet."""
SIDE, SMALL_SIDE = 96, 40
"""The side in pixels that smaller tiles are enlarged to, numbered ones and others."""
GAP, NUMBER = 0.08, 0.24
"""The gap between tiles and the room for a number above them, relative to their longer side."""
WHITE = 255
"""The index of white in a table of colors."""
COARSE = 0xFC
"""The bits of colors in strips, which makes their files smaller."""
STRIP = 64
"""The side of a map in a strip of maps, in pixels."""


@dataclass(frozen=True)
class Sheet:
    """A picture of tiles.

    Attributes:
        pixels: H×W×3.
        note: What it shows of how many, and how it is arranged.
        signed: Whether its colors are those of negative and positive values.
        limits: The values of the first and the last color, if all tiles have the same.
    """

    pixels: Image
    note: str = ""
    signed: bool = False
    limits: tuple[float, float] | None = None

    @property
    def picture(self) -> str:
        """The pixels as a data URI."""
        return png_uri(self.pixels)


def map_sheet(values: Tensor, scale: Scale = "map", limit: float | None = None) -> Sheet:
    """Maps C×H×W as numbered tiles.

    Args:
        values: Activations, or gradients.
        scale: "map": each map from its own smallest to its largest value; "layer" and "shared": one scale.
        limit: The largest absolute value of the shared scale. Default: that of these maps.
    """
    maps = values[:MOST_MAPS].float().numpy()
    signed = bool((maps < 0).any())
    tiles = color_table(signed)[levels(maps, scale, limit)]
    largest = limit or float(np.abs(maps).max())
    note = f"The first {len(maps)} of {len(values):,} maps." if len(maps) < len(values) else ""
    limits = None if scale == "map" else (-largest if signed else 0.0, largest)
    return Sheet(_numbered(tiles), note, signed, limits)


def map_strip(values: Tensor, scale: Scale, limit: float | None = None) -> str:
    """Maps C×H×W side by side as a data URI, small ones enlarged, large ones reduced."""
    maps = values.float().numpy()
    height = max(1, round(STRIP * maps.shape[1] / max(maps.shape[1:])))
    width = max(1, round(STRIP * maps.shape[2] / max(maps.shape[1:])))
    rows = (np.arange(max(height, 8)) * maps.shape[1] / max(height, 8)).astype(int)
    columns = (np.arange(width) * maps.shape[2] / width).astype(int)
    tiles = levels(maps[:, rows][:, :, columns], scale, limit) & COARSE
    spaced = np.pad(tiles, ((0, 0), (0, 0), (0, 3)), constant_values=WHITE)
    indices = spaced.transpose(1, 0, 2).reshape(len(rows), -1)[:, :-3]
    return palette_uri(indices, color_table(bool((maps < 0).any())))


def levels(maps: NDArray[np.float32], scale: Scale, limit: float | None = None) -> Image:
    """Maps C×H×W as indices of colors, 0…254; see `map_sheet`."""
    known = np.nan_to_num(maps)
    signed = bool((known < 0).any())
    each = scale == "map"
    largest = np.abs(known).max((1, 2), keepdims=True) if each else limit or float(np.abs(known).max())
    low = -largest if signed else known.min((1, 2), keepdims=True) if each else 0.0
    span = np.asarray(largest - low)
    fraction = (known - low) / np.where(span > 0, span, 1.0)
    return (254 * np.clip(fraction, 0, 1)).round().astype(np.uint8)


@cache
def color_table(signed: bool) -> Image:
    """The colors of the indices 0…254, and white."""
    colors = mpl.colormaps["RdBu_r" if signed else "viridis"](np.linspace(0, 1, WHITE))[:, :3]
    return (255 * np.concatenate([colors, np.ones((1, 3))])).round().astype(np.uint8)


def filter_sheet(weights: Tensor) -> Sheet:
    """Filters D×C×I×J: as color images if C is 3, else one column of channels per filter."""
    filters = weights.detach().float()
    count, channels = filters.shape[:2]
    if channels in (1, 3):
        return _filter_images(filters)
    some = filters[:MOST_FILTERS, :MOST_CHANNELS].numpy()
    shown, of_each = some.shape[:2]
    note = "One column per filter, one row per input channel."
    if some.size < filters.numel():
        note += f" The first {shown} of {count:,} filters and {of_each} of {channels:,} channels."
    largest = float(np.abs(some).max())
    tiles = _around_zero(some.transpose(1, 0, 2, 3).reshape(-1, *some.shape[2:]), largest)
    sheet, _ = _arranged(color_table(True)[tiles], shown, SMALL_SIDE, 0)
    return Sheet(sheet, note, True, (-largest, largest))


def _filter_images(filters: Tensor) -> Sheet:
    """Filters of one channel with zero as white, filters of three as color images with zero as gray."""
    some = filters[: 4 * MOST_FILTERS].numpy()
    note = f"The first {len(some)} of {len(filters):,} filters." if len(some) < len(filters) else ""
    if some.shape[1] == 1:
        largest = float(np.abs(some).max())
        tiles = color_table(True)[_around_zero(some[:, 0], largest)]
        return Sheet(_numbered(tiles), note, True, (-largest, largest))
    tiles = _around_zero(some, np.abs(some).max((1, 2, 3), keepdims=True)).transpose(0, 2, 3, 1)
    note = f"{note} Gray is zero; each filter has its own scale.".strip()
    return Sheet(_numbered(tiles), note)


def _around_zero(values: NDArray[np.float32], largest: float | NDArray[np.float32]) -> Image:
    """Values as 0…254, with 127 for zero."""
    scaled = 0.5 + 0.5 * values / np.where(np.asarray(largest) > 0, largest, 1.0)
    return (254 * scaled).round().astype(np.uint8)


def _numbered(tiles: Image) -> Image:
    """Tiles N×H×W×3 in rows, with their numbers."""
    columns = min(len(tiles), 8 if len(tiles) <= 32 else 12)
    sheet, corners = _arranged(tiles, columns, SIDE, NUMBER)
    picture = PIL.Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=15)
    for number, (row, column) in enumerate(corners):
        draw.text((column, row - 3), str(number), "#3c4149", font, anchor="ls")
    return np.asarray(picture)


def _arranged(tiles: Image, columns: int, side: int, room: float) -> tuple[Image, list[tuple[int, int]]]:
    """Tiles N×H×W×3 on white with room above each, and their upper left corners."""
    count, height, width = tiles.shape[:3]
    times = max(1, -(-side // max(height, width)))
    # A row of numbers becomes a band.
    tall = times * (height if height > 1 or width == 1 else max(1, width // 4))
    wide = times * width
    longer = max(tall, wide)
    above, beside = max(round(room * longer), round(GAP * longer)), round(GAP * longer)
    rows = -(-count // columns)
    sheet = np.full((rows * (above + tall), columns * (beside + wide) - beside, 3), 255, np.uint8)
    corners = [(above + i // columns * (above + tall), i % columns * (beside + wide)) for i in range(count)]
    for (row, column), tile in zip(corners, tiles, strict=True):
        sheet[row : row + tall, column : column + wide] = tile.repeat(tall // height, 0).repeat(times, 1)
    return sheet, corners
