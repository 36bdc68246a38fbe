"""Figures of what a network does with an image: maps, filters, attribution, the arithmetic of a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.colors import Normalize as Range
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from convnet.explain.arithmetic import Unit
from convnet.explain.attribution import UNSIGNED, Attribution
from convnet.explain.cam import normalized
from convnet.reports.style import CHART, CYCLE, TRAIN, VAL, bare, figure

Scale = Literal["map", "layer", "shared"]
Image = NDArray[np.uint8]

MOST_MAPS = 64
"""The largest number of maps of a layer in a figure."""
MOST_FILTERS, MOST_CHANNELS = 32, 24
"""The largest number of filters, and of channels of each, in a figure."""
BEYOND = 0.3
"""How much of a receptive field is drawn beyond the image, relative to its side."""
STRIP = 64
"""The side of a map in a strip of maps, in pixels."""
MOST_PANELS = 4
"""The largest number of channels of a patch in a figure, those with the largest products."""
LARGEST_CELL = 7
"""The largest patch whose numbers are written."""


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
    """Numbered tiles H×W×3 of one size as a grid in one axes, because one per tile is slow."""
    height, width = tiles[0].shape[:2]
    columns = min(len(tiles), 8 if len(tiles) <= 32 else 12)
    rows = -(-len(tiles) // columns)
    cell = 1.0
    tall = cell if height > 1 else 0.25
    picture.set_size_inches(max(3.2, columns * (cell + 0.08) + 0.9), 0.55 + rows * (tall + 0.22))
    axes = picture.subplots()
    bare(axes)
    axes.set_title(title)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        side = cell * min(1.0, width / height) if height > 1 else cell
        up = cell * min(1.0, height / width) if height > 1 else tall
        left, top = column * (cell + 0.08), row * (tall + 0.22)
        extent = (left, left + side, top + up, top)
        axes.imshow(tile, extent=extent, interpolation="nearest", aspect="auto")
        axes.text(left, top - 0.02, str(number), fontsize=7, va="bottom")
    axes.set(xlim=(0, columns * (cell + 0.08)), ylim=(rows * (tall + 0.22), -0.18))
    return axes


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


def attribution_figure(image: Image, found: Attribution) -> Figure:
    """An attribution map over its image."""
    values = found.values.float()
    with figure(2.7, 2.9) as picture:
        axes = picture.subplots()
        bare(axes)
        gray = image if image.shape[2] == 1 else image.mean(2, keepdims=True)
        axes.imshow(gray[:, :, 0], cmap="gray", vmin=-80, vmax=335)
        if found.method in UNSIGNED or found.layer is not None:
            strength = normalized(values).numpy()
            axes.imshow(strength, cmap="inferno", alpha=np.clip(0.15 + strength, 0, 0.85))
        else:
            largest = float(np.quantile(values.abs().numpy(), 0.995)) or 1.0
            strength = (values / largest).clamp(-1, 1).numpy()
            alpha = np.clip(np.abs(strength) * 1.2, 0.1, 0.85)
            axes.imshow(strength, cmap="RdBu_r", vmin=-1, vmax=1, alpha=alpha)
        axes.set_title(found.method + (f" at {found.layer}" if found.layer else ""), fontsize=9)
    return picture


def curve_figure(curves: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]]) -> Figure:
    """The probability of the class while pixels are removed and added, by method."""
    with figure(2 * CHART[0], 2.7) as picture:
        left, right = picture.subplots(1, 2)
        for number, (name, deletion, insertion) in enumerate(curves):
            color = CYCLE[number % len(CYCLE)]
            left.plot(np.linspace(0, 1, len(deletion)), deletion, color=color, label=name)
            right.plot(np.linspace(0, 1, len(insertion)), insertion, color=color)
        left.set_title("Deletion: low is good")
        right.set_title("Insertion: high is good")
        for axes in (left, right):
            axes.set_xlabel("fraction of the pixels")
            axes.set_ylim(-0.02, 1.02)
        left.set_ylabel("probability of the class")
        left.legend(fontsize=7.5)
    return picture


def field_figure(image: Image, field: dict[str, list[int]] | None, position: Sequence[int]) -> Figure:
    """The receptive field of a unit as a rectangle on the image."""
    with figure(2.9, 3.1) as picture:
        axes = picture.subplots()
        bare(axes)
        gray = image.shape[2] == 1
        axes.imshow(image[:, :, 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)
        axes.set_title("Receptive field", fontsize=9.5)
        if field is not None:
            (top, bottom), (left, right) = field["rows"], field["columns"]
            corner, size = (left - 0.5, top - 0.5), (right - left + 1, bottom - top + 1)
            axes.add_patch(Rectangle(corner, *size, fill=False, color=VAL, linewidth=2))
            height, width = image.shape[:2]
            # Of a field that extends far beyond the image only the inner part is drawn.
            wide, tall = BEYOND * width, BEYOND * height
            axes.set_xlim(max(min(left - 1, -0.5), -wide), min(max(right + 1, width - 0.5), width + wide))
            axes.set_ylim(min(max(bottom + 1, height - 0.5), height + tall), max(min(top - 1, -0.5), -tall))
            axes.set_facecolor("#e6e8eb")
    return picture


def unit_figure(unit: Unit) -> Figure | None:
    """Patch, kernel and products, one row per channel; None for operations on single numbers."""
    if unit.patch is None:
        return None
    patch, kernel = _as_maps(unit.patch), None if unit.kernel is None else _as_maps(unit.kernel)
    products = None if kernel is None else patch * kernel
    weight = np.nan_to_num(products if products is not None else patch, neginf=0.0)
    order = np.sort(np.argsort(-np.abs(weight.reshape(len(weight), -1).sum(1)), kind="stable")[:MOST_PANELS])
    panels = [("patch", patch)] + ([("kernel", kernel), ("products", products)] if kernel is not None else [])
    side = min(2.6, 0.45 * patch.shape[2] + 0.4)
    tall = side * patch.shape[1] / patch.shape[2] if patch.shape[1] > 1 else 0.6
    with figure(max(4.5, (side + 0.25) * len(panels) + 0.6), 0.75 + (tall + 0.25) * len(order)) as picture:
        grid = picture.subplots(len(order), len(panels), squeeze=False)
        for row, channel in enumerate(order.tolist()):
            for axes, (name, values) in zip(grid[row], panels, strict=True):
                assert values is not None
                _numbers(axes, values[channel], values)
                if row == 0:
                    axes.set_title(name, fontsize=9.5, loc="center")
            grid[row, 0].set_ylabel(f"channel {channel}", fontsize=8)
            if products is not None:
                grid[row, -1].set_xlabel(f"sum {products[channel].sum():.4g}", fontsize=8)
        hidden = f" ({len(order)} of {len(patch)} channels)" if len(order) < len(patch) else ""
        total = f"{unit.layer} [{', '.join(map(str, unit.position))}] = {unit.value:.5g}{hidden}"
        picture.suptitle(total, x=0.01, ha="left", fontweight="bold", fontsize=10.5)
    return picture


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


def _numbers(axes: Axes, one: NDArray[np.float64], all_values: NDArray[np.float64]) -> None:
    """A map with its numbers, if they fit."""
    known = all_values[np.isfinite(all_values)]
    largest = float(np.abs(known).max()) if known.size else 1.0
    axes.imshow(one, cmap="RdBu_r", vmin=-(largest or 1.0), vmax=largest or 1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    if max(one.shape) > LARGEST_CELL:
        return
    for (i, j), value in np.ndenumerate(one):
        text = "–" if not math.isfinite(value) else f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
        bright = math.isfinite(value) and abs(value) > 0.6 * largest
        size = 7.5 if max(one.shape) <= 5 else 6
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color="white" if bright else "#23272e")


def probability_figure(classes: Sequence[str], probabilities: Sequence[float]) -> Figure:
    """The most probable classes as bars."""
    with figure(3.6, 0.5 + 0.3 * len(classes)) as picture:
        axes = picture.subplots()
        axes.barh(list(classes)[::-1], list(probabilities)[::-1], color=TRAIN)
        axes.set_xlim(0, 1.12)
        axes.grid(False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        for place, value in enumerate(list(probabilities)[::-1]):
            axes.text(value + 0.01, place, f"{value:.1%}", va="center", fontsize=8.5)
    return picture
