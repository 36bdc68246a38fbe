"""Figures of the predicted class and of what it is attributed to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.explain.attribution import UNSIGNED, Attribution
from convnet.explain.cam import normalized
from convnet.reports.grids import Image
from convnet.reports.style import CHART, CYCLE, TRAIN, bare, figure


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
