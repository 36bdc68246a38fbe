"""The losses of one sample: scores to probabilities, and both losses as curves."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convnet.concepts.scores import ScoreLoss
from convnet.reports.style import CYCLE, MUTED, TRAIN, VAL, figure, shortened


def score_figure(found: ScoreLoss) -> Figure:
    """Bars of every step of the softmax, and the losses by the score of the true class."""
    with figure(10, 2.9 + 0.16 * max(0, len(found.scores) - 4)) as picture:
        scores, exponentials, probabilities, curves = picture.subplots(1, 4, width_ratios=[1, 1, 1, 1.9])
        for axes in (exponentials, probabilities):
            axes.sharey(scores)
            axes.tick_params(labelleft=False)
        _bars(scores, found, found.scores, "scores s")
        _bars(exponentials, found, found.exponentials, "e^(s − max s)")
        _bars(probabilities, found, found.probabilities, "softmax p")
        scores.invert_yaxis()
        _curves(curves, found)
    return picture


def _bars(axes: Axes, found: ScoreLoss, values: tuple[float, ...], title: str) -> None:
    names = [shortened(name) for name in found.classes]
    places = np.arange(len(values))
    colors = [VAL if j == found.target else TRAIN for j in places]
    axes.barh(places, values, color=colors, height=0.6)
    low, high = min(0.0, *values), max(0.0, *values)
    room = (high - low) or 1.0
    axes.set_xlim(low - 0.3 * room * (low < 0), high + 0.35 * room)
    for place, value in enumerate(values):
        side = "left" if value >= 0 else "right"
        axes.text(
            value + (0.03 if value >= 0 else -0.03) * room,
            place,
            f"{value:.4g}",
            va="center",
            ha=side,
            fontsize=8,
        )
    axes.set_yticks(places, names)
    axes.axvline(0, color="#9aa0a8", linewidth=0.8)
    axes.grid(False)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8.5)


def _curves(axes: Axes, found: ScoreLoss) -> None:
    """Both losses while only the score of the true class changes."""
    own = found.scores[found.target]
    others = [score for j, score in enumerate(found.scores) if j != found.target]
    low, high = min(own, *others) - 2, max(own, *others) + 3
    x = np.linspace(low, high, 121).tolist()
    named = (
        ("cross-entropy", "softmax cross-entropy", found.cross_entropy),
        ("hinge", "hinge loss", found.hinge),
    )
    for (name, label, here), color in zip(named, CYCLE, strict=False):
        axes.plot(x, found.curve(name, x), color=color, label=label)
        axes.plot([own], [here], "o", color=color)
    axes.axvline(own, color=MUTED, linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"score of the true class ({shortened(found.classes[found.target])})")
    axes.set_title("loss", fontsize=10)
    axes.legend(fontsize=8.5)
