"""Receptive fields that grow layer by layer, over the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from convnet.concepts.fields import ReceptiveField, ReceptiveFields
from convnet.reports.style import VAL, bare, figure

PANELS = 6
"""The largest number of layers that are drawn."""
WIDTH = 2.3


def field_figure(found: ReceptiveFields) -> Figure:
    """One panel per layer: the image, the theoretical field as a frame, and the gradient in color."""
    count = min(PANELS, len(found.fields))
    places = [round(i * (len(found.fields) - 1) / max(1, count - 1)) for i in range(count)]
    columns = min(3, count)
    rows = -(-count // columns)
    picture_ = _gray(found)
    tall = WIDTH * picture_.shape[0] / picture_.shape[1]
    with figure(max(4.0, WIDTH * columns + 0.2), (tall + 0.5) * rows + 0.2) as picture:
        grid = picture.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        for axes, place in zip(grid.flat, places, strict=False):
            _panel(axes, picture_, found.fields[place])
    return picture


def _gray(found: ReceptiveFields) -> NDArray[Any]:
    """The image in pale gray, 0…1."""
    values = found.image.float().mean(0).numpy()
    low, high = float(values.min()), float(values.max())
    return 0.35 + 0.6 * (values - low) / ((high - low) or 1.0)


def _panel(axes: Axes, gray: NDArray[Any], field: ReceptiveField) -> None:
    axes.imshow(gray, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    strength = field.gradient / (float(field.gradient.max()) or 1.0)
    color = np.zeros((*strength.shape, 4))
    color[..., 0], color[..., 1], color[..., 2] = 0.85, 0.18, 0.12
    color[..., 3] = np.sqrt(strength) * 0.9
    axes.imshow(color, interpolation="nearest")
    (top, bottom), (left, right) = field.rows, field.columns
    height, width = gray.shape
    frame = Rectangle(
        (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1,
        fill=False, edgecolor=VAL, linewidth=2, clip_on=True,
    )  # fmt: skip
    axes.add_patch(frame)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    size = "×".join(map(str, field.size))
    axes.set_title(
        f"{field.layer}\n{size}, effective {field.effective:.0f}", fontsize=8.5, fontweight="normal"
    )
