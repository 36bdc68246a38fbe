"""The color histogram of an image, raw and smoothed."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.concepts.histogram import ColorHistograms
from convnet.reports.style import bare, figure
from convnet.tasks import as_picture


def histogram_figure(found: ColorHistograms) -> Figure:
    """The image, and bars in the colors of their bins."""
    colors = found.colors
    shown = (
        hsv_to_rgb(colors)
        if found.space == "hsv"
        else np.repeat(colors, 3, 1)
        if colors.shape[1] == 1
        else colors
    )
    with figure(10, 2.9) as picture:
        image, raw, smoothed = picture.subplots(1, 3, width_ratios=[1, 1.15, 1.15])
        bare(image)
        pixels = as_picture(found.image)
        image.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        _bars(raw, found.raw, shown, f"raw: {len(found.raw)} bins")
        _bars(smoothed, found.smoothed, shown, f"smoothed, σ = {found.sigma:g} bins")
        smoothed.sharey(raw)
    return picture


def _bars(axes: Axes, shares: NDArray[Any], colors: NDArray[Any], title: str) -> None:
    axes.bar(np.arange(len(shares)), shares, width=1.0, color=colors, edgecolor="#8a8f98", linewidth=0.3)
    axes.set_title(title)
    axes.set_xlabel("bin")
    axes.set_ylabel("share of pixels")
    axes.grid(False)
