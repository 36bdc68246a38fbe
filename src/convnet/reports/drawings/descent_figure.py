"""The paths of optimizers on a loss surface."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convnet.concepts.descent import Descent
from convnet.reports.style import CYCLE, figure

RESOLUTION = 160
LEVELS = 18
SMALLEST = 1e-6
WIDE = 1000


def descent_figure(found: Descent) -> Figure:
    """The surface from above with all paths, and the loss by step."""
    with figure(10, 4) as picture:
        surface, losses = picture.subplots(1, 2, width_ratios=[1.35, 1])
        lowest = _contours(surface, found)
        for path, color in zip(found.paths, CYCLE, strict=False):
            x, y = zip(*path.points, strict=True)
            label = f"{path.optimizer}, rate {path.lr:g}"
            surface.plot(x, y, ".-", color=color, linewidth=1.3, markersize=3.5, label=label)
            surface.plot(x[-1:], y[-1:], "o", color=color, markersize=7, markeredgecolor="white")
            above = np.maximum(np.array(path.losses) - lowest, SMALLEST)
            losses.plot(np.where(np.isfinite(above), above, np.nan), color=color)
        surface.plot(*found.paths[0].points[0], "ks", markersize=6)
        left, right, bottom, top = found.surface.frame
        surface.set(xlim=(left, right), ylim=(bottom, top), xlabel="weight x", ylabel="weight y")
        noise = f", gradient noise {found.noise:g}" if found.noise else ""
        surface.set_title(f"{found.name}: {found.steps} steps{noise}")
        if _is_wide(found, lowest):
            losses.set_yscale("log")
        losses.set(xlabel="step", title="loss above the minimum")
        picture.legend(*surface.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return picture


def _is_wide(found: Descent, lowest: float) -> bool:
    """Whether a path comes so near to the minimum that only a logarithmic axis shows how near."""
    spans = [(path.losses[0] - lowest, min(path.losses) - lowest) for path in found.paths]
    return any(first > WIDE * max(last, SMALLEST) for first, last in spans)


def _contours(axes: Axes, found: Descent) -> float:
    """Draw lines of equal loss, closer together near the minimum; return the lowest loss."""
    left, right, bottom, top = found.surface.frame
    x, y = torch.linspace(left, right, RESOLUTION), torch.linspace(bottom, top, RESOLUTION)
    grid = torch.cartesian_prod(y, x).flip(1).double()
    loss = found.surface.loss(grid).view(RESOLUTION, RESOLUTION).numpy()
    ends = [value for path in found.paths for value in path.losses if np.isfinite(value)]
    lowest = min([float(loss.min()), *ends])
    levels = lowest + (float(loss.max()) - lowest) * np.linspace(0.005, 1, LEVELS) ** 2.2
    axes.contourf(x, y, loss, levels=[lowest - 1, *levels], cmap="Blues", alpha=0.5)
    axes.contour(x, y, loss, levels=levels, colors="#8fa8cf", linewidths=0.6)
    axes.grid(False)
    return lowest
