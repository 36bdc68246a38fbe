"""Figures of what a class is attributed to: maps over the image, deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.explain.attribution import UNSIGNED, Attribution
from convnet.explain.cam import normalized
from convnet.reports.grids import Image
from convnet.reports.style import CHART, CYCLE, figure
from convnet.reports.thumbnails import enlarged, in_color


def overlay(image: Image, found: Attribution) -> Image:
    """An attribution map over its image, as pixels; small images are enlarged."""
    pale = (in_color(image).mean(2, keepdims=True) + 80) / 415  # so that the map stands out
    values = found.values.float()
    if found.method in UNSIGNED or found.layer is not None:
        strength = normalized(values).numpy()
        colors, alpha = mpl.colormaps["inferno"](strength), np.clip(0.15 + strength, 0, 0.85)
    else:
        largest = float(np.quantile(values.abs().numpy(), 0.995)) or 1.0
        strength = (values / largest).clamp(-1, 1).numpy()
        colors = mpl.colormaps["RdBu_r"]((strength + 1) / 2)
        alpha = np.clip(np.abs(strength) * 1.2, 0.1, 0.85)
    mixed = (1 - alpha[:, :, None]) * pale + alpha[:, :, None] * colors[:, :, :3]
    return enlarged((255 * mixed).round().astype(np.uint8))


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
