"""Which values of masks are classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from convnet.data.datasets.mask_file import RawMask, Values
from convnet.errors import DataError
from convnet.types import IGNORED

Colors = Mapping[str, str | int]
MOST_CLASSES = 1000
WAY_OUT = (
    "add it to data.colors, set data.ignore_index, or let each pixel take the nearest class (--set "
    "data.nearest=true)"
)
RUN_WAY_OUT = "write the masks with the values of the run's own data"
VOID = 255
"""The index of pixels without a class in palette masks, by convention (Pascal VOC)."""
RARE = 0.05
"""The largest share of pixels of values that are taken for blurred or compressed edges."""
LONELY = 0.5
"""The share of such pixels that have no neighbor of the same value."""
THIN = 0.02
"""The share of such pixels with eight neighbors of the same value, where edges are two pixels wide."""
MANY = 8
"""The number of thin values from which they are edges and not thin things."""
STRAY = 0.005
"""The largest share of the pixels of a nearly equal value for values that are errors."""
NEAR = 8
"""The largest difference of nearly equal values; values in a row are classes."""
FEW = 3
"""The largest number of gray values of a mask beside which others are errors; more values are indices."""
PEAK = 0.2
"""The share of the second largest area that the third needs to be offered as a class."""
DENSE = 32
"""Up to so many values in a row, from 0 or 1, are indices, however few images there are."""
SHOWN = 6


@dataclass
class Histogram:
    """How often each value occurs in masks.

    Attributes:
        pixels: Pixels by value.
        lonely: Pixels without a neighbor of the same value, by value.
        inner: Pixels whose eight neighbors have the same value, by value.
        masks: The number of masks.
    """

    pixels: Counter[int] = field(default_factory=Counter)
    lonely: Counter[int] = field(default_factory=Counter)
    inner: Counter[int] = field(default_factory=Counter)
    masks: int = 0

    def add(self, values: Values) -> None:
        """Count a mask."""
        same = np.zeros(values.shape, np.bool_)
        for axis in (0, 1):
            equal = np.diff(values, axis=axis) == 0
            ahead, behind = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
            same[ahead] |= equal
            same[behind] |= equal
        center, shifts = values[1:-1, 1:-1], (slice(None, -2), slice(1, -1), slice(2, None))
        around = [values[rows, columns] == center for rows in shifts for columns in shifts]
        inside = np.logical_and.reduce(around)
        parts = ((self.pixels, values), (self.lonely, values[~same]), (self.inner, center[inside]))
        for counter, part in parts:
            found, counts = np.unique(part, return_counts=True)
            counter.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        self.masks += 1

    def __str__(self) -> str:
        total = sum(self.pixels.values())
        shares = [f"{value} ({count / total:.1%})" for value, count in self.pixels.most_common(SHOWN)]
        more = len(self.pixels) - SHOWN
        return ", ".join(shares) + (f" and {more:,} other{'s' if more > 1 else ''}" if more > 0 else "")


def class_values(raws: Sequence[RawMask], ignore_index: int | None) -> dict[str, int]:
    """The classes of masks that hold indices or gray values, named by their values.

    Args:
        raws: The masks.
        ignore_index: The value of pixels without a class. Default: 255 in palette masks.

    Raises:
        DataError: The values are no classes; the message shows their histogram and the way out.
    """
    histogram = Histogram()
    for raw in raws:
        if raw.colored:
            found = ", ".join(f"#{value:06x}" for value in np.unique(raw.values)[:SHOWN])
            raise DataError(
                f"{raw.path}: this is a color mask ({found}); name the class of each color: "
                '--set \'data.colors={sky: "#0000ff", bird: "#ff0000"}\''
            )
        histogram.add(raw.values)
    palette = ignore_index is None and all(raw.palette for raw in raws)
    values = sorted(histogram.pixels.keys() - {VOID if palette else ignore_index})
    where = raws[0].path.parent
    if not values:
        raise DataError(f"{where}: no pixel has a class: all are {VOID if palette else ignore_index}")
    if len(values) == 1:
        raise DataError(
            f"{where}: all pixels have the value {values[0]}; training needs two or more classes. Add masks "
            f"with other classes, or name all classes (--set 'data.colors={{none: {values[0]}, object: 1}}')"
        )
    edges, many = _edges(histogram, values), _too_many(values, histogram.masks)
    if edges or many or (edges := _strays(histogram, values)):
        raise DataError(_no_classes(where, histogram, values, edges))
    if VOID in values and len(values) > 2 and values[-2] < VOID - 1:
        raise DataError(_perhaps_void(where, values))
    if len(values) > MOST_CLASSES:
        raise DataError(f"{where}: masks hold {len(values):,} classes; expected at most {MOST_CLASSES:,}")
    return {str(value): value for value in values}


def _edges(histogram: Histogram, values: Sequence[int]) -> list[int]:
    """Values that are rare and isolated, as at smoothed or compressed edges; empty if there are few."""
    total = sum(histogram.pixels.values())
    rare = [value for value in values if histogram.pixels[value] < RARE * total]
    lonely = [v for v in rare if histogram.lonely[v] > LONELY * histogram.pixels[v]]
    thick = [v for v in values if histogram.inner[v] > THIN * histogram.pixels[v]] or [0]
    between = [v for v in rare if min(thick) < v < max(thick) and v not in thick]
    thin = [] if _is_dense(values) else between
    for found, enough in ((lonely, 2), (thin, MANY)):
        few = sum(histogram.pixels[value] for value in found) < 4 * RARE * total
        if len(found) >= enough and few and len(values) - len(found) >= 2:
            return found
    return []


def _strays(histogram: Histogram, values: Sequence[int]) -> list[int]:
    """Values of a few pixels that are nearly equal to a frequent value, such as 254 beside 255."""
    found = [
        value
        for value in values
        if any(
            0 < abs(value - other) <= NEAR and histogram.pixels[value] < STRAY * histogram.pixels[other]
            for other in values
        )
    ]
    wide = values[-1] - values[0] > NEAR * len(values)
    return found if wide and len(values) - len(found) <= FEW else []


def _is_dense(values: Sequence[int]) -> bool:
    """Whether values are indices in a row."""
    return values[0] in (0, 1) and len(values) == values[-1] - values[0] + 1 <= DENSE


def _too_many(values: Sequence[int], masks: int) -> bool:
    """Whether there are more classes than masks, although the values are no indices in a row."""
    return len(values) > max(2, masks) and not _is_dense(values)


def _no_classes(where: Path, histogram: Histogram, values: Sequence[int], edges: Sequence[int]) -> str:
    common = sorted(_peaks(histogram, edges))
    named = ", ".join(f"class{i}: {value}" for i, value in enumerate(common))
    verb = "are" if len(edges) > 1 else "is"
    why = (
        f"and {len(edges):,} of them {verb} rare and isolated, as at edges that were smoothed or compressed"
        if edges
        else f"which would be more classes than masks ({histogram.masks:,})"
    )
    threshold = (common[0] + common[-1] + 1) // 2
    each = ", ".join(f'"{value}": {value}' for value in values)
    every = (
        f"; if each value is a class, name all (--set 'data.colors={{{each}}}')"
        if len(values) <= DENSE
        else ""
    )
    return (
        f"{where}: masks hold {len(values):,} values, {why}. Pixels by value: {histogram}. Name the "
        f"classes, so that each pixel takes the nearest (--set 'data.colors={{{named}}}' --set "
        f"data.nearest=true), or divide the values in two (--set data.threshold={threshold}){every}"
    )


def _peaks(histogram: Histogram, edges: Sequence[int]) -> list[int]:
    """The values of the two or three largest areas."""
    areas = [(value, count) for value, count in histogram.inner.most_common() if value not in edges]
    if len(areas) < 2:
        areas = histogram.pixels.most_common()
    return [value for value, count in areas[:3] if count >= PEAK * areas[1][1]]


def _perhaps_void(where: Path, values: Sequence[int]) -> str:
    named = ", ".join(f'"{value}": {value}' for value in values)
    listed = ", ".join(map(str, values[:-1])) if len(values) < 6 else f"{values[0]}…{values[-2]}"
    return (
        f"{where}: masks hold the values {listed} and {VOID}; if {VOID} means no class, use --set "
        f"data.ignore_index={VOID}, and if it is one, --set 'data.colors={{{named}}}'"
    )


def color_table(colors: Colors) -> dict[str, int]:
    """The mask value of each class, with colors encoded as numbers.

    Raises:
        DataError: A color is not one, or there are fewer than two classes.
    """
    codes = {}
    for name, value in colors.items():
        try:
            red, green, blue = ImageColor.getrgb(value)[:3] if isinstance(value, str) else (0, 0, 0)
        except ValueError:
            raise DataError(
                f"data.colors.{name}: '{value}' is not a color; write #rrggbb or an index"
            ) from None
        codes[str(name)] = value if isinstance(value, int) else red << 16 | green << 8 | blue
    if len(codes) < 2 or len(set(codes.values())) < len(codes):
        raise DataError("data.colors: expected two or more classes with different colors")
    return codes


def class_indices(
    raw: RawMask, codes: Mapping[str, int], ignore_index: int | None, *, nearest: bool, trained: bool = False
) -> NDArray[np.int16]:
    """The class indices of a mask, `IGNORED` where there is none.

    Args:
        raw: The mask.
        codes: The value of each class.
        ignore_index: The value of pixels without a class. Default: 255 in palette masks.
        nearest: Whether other values take the nearest class.
        trained: Whether the codes are those of a trained network.

    Raises:
        DataError: A value is no class.
    """
    values = np.array(list(codes.values()))
    order = np.argsort(values)
    ordered = values[order]
    void = raw.values == (VOID if ignore_index is None and raw.palette else ignore_index)
    if nearest:
        return np.where(void, IGNORED, _nearest(raw, values)).astype(np.int16)
    place = np.searchsorted(ordered, raw.values).clip(0, len(values) - 1)
    known = (ordered[place] == raw.values) & ~void
    if (strange := ~(known | void)).any():
        value = int(raw.values[strange][0])
        what = f"the color #{value:06x}" if raw.colored else f"the value {value}"
        raise DataError(
            f"{raw.path}: {strange.sum():,} pixels have {what}, which is not a class (known: "
            f"{', '.join(list(codes)[:12])}); {RUN_WAY_OUT if trained else WAY_OUT}"
        )
    return np.where(known, order[place], IGNORED).astype(np.int16)


def _nearest(raw: RawMask, values: NDArray[np.int64]) -> NDArray[np.intp]:
    """The class whose value or color is nearest to each pixel."""
    found, places = np.unique(raw.values, return_inverse=True)
    if raw.colored:
        parts = (((found[:, None] >> bits & 255) - (values >> bits & 255)) ** 2 for bits in (0, 8, 16))
        apart = sum(parts)
    else:
        apart = np.abs(found[:, None] - values)
    chosen: NDArray[np.intp] = np.asarray(apart).argmin(1)[places].reshape(raw.values.shape)
    return chosen
