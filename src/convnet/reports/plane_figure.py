"""Decision regions of models on points in the plane, and the space of a hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.reports.style import CYCLE, figure

RESOLUTION = 240
LINES = 13
MARGIN = 0.12


@dataclass(frozen=True)
class Panel:
    """A trained model of points N×2×1×1.

    Attributes:
        title: The title of the panel.
        model: The model.
        hidden: The layers up to two hidden units, to draw their space too.
        head: The layers after them.
        hyperplanes: Whether to draw where the logit of each class is zero, for linear models.
    """

    title: str
    model: nn.Module
    hidden: nn.Module | None = None
    head: nn.Module | None = None
    hyperplanes: bool = False


def plane_figure(panels: Sequence[Panel], points: Tensor, targets: Tensor, classes: Sequence[str]) -> Figure:
    """Decision regions side by side, and below each the space of its hidden layer, if any."""
    warped = any(panel.hidden is not None for panel in panels)
    columns = min(3, len(panels))
    blocks = -(-len(panels) // columns)
    rows = blocks * (2 if warped else 1)
    with figure(3.5 * columns + 0.6, 3.6 * rows + 0.3) as picture:
        grid = picture.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, panel in enumerate(panels):
            block, column = divmod(number, columns)
            top = grid[block * (2 if warped else 1), column]
            top.set_axis_on()
            draw_regions(top, panel.model, points, targets, classes, hyperplanes=panel.hyperplanes)
            top.set_title(panel.title)
            if panel.hidden is not None and panel.head is not None:
                below = grid[2 * block + 1, column]
                below.set_axis_on()
                _draw_warped(below, panel.hidden, panel.head, points, targets, classes)
        picture.axes[0].legend(
            loc="upper left", fontsize=8.5, handletextpad=0.2, framealpha=0.8, frameon=True
        )
    return picture


@torch.no_grad()
def draw_regions(
    axes: Axes,
    model: nn.Module,
    points: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    *,
    hyperplanes: bool = False,
) -> None:
    """Draw decision regions with their boundaries, and the points N×2.

    With `hyperplanes`, a dashed line marks where the logit of each class is zero.
    """
    (left, right), (bottom, top) = _limits(points[:, 0]), _limits(points[:, 1])
    across, up = torch.linspace(left, right, RESOLUTION), torch.linspace(bottom, top, RESOLUTION)
    grid = torch.cartesian_prod(up, across).flip(1)
    scores = model(grid[:, :, None, None]).float()
    best = scores.argmax(1).view(RESOLUTION, RESOLUTION).numpy()
    palette = np.array([to_rgb(CYCLE[k % len(CYCLE)]) for k in range(len(classes))])
    image = 1 - 0.28 * (1 - palette[best])
    axes.imshow(
        image, origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="nearest"
    )
    for k in range(len(classes)):
        if 0 < (best == k).mean() < 1:
            others = scores.clone()
            others[:, k] = -torch.inf
            lead = (scores[:, k] - others.amax(1)).view(RESOLUTION, RESOLUTION).numpy()
            axes.contour(across.numpy(), up.numpy(), lead, levels=[0], colors="#3c4149", linewidths=0.9)
        if hyperplanes:
            score = scores[:, k].view(RESOLUTION, RESOLUTION).numpy()
            axes.contour(
                across.numpy(),
                up.numpy(),
                score,
                levels=[0],
                colors=[palette[k]],
                linestyles="--",
                linewidths=1.3,
            )
    _scatter(axes, points.numpy(), targets, classes)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.grid(False)


@torch.no_grad()
def _draw_warped(
    axes: Axes, hidden: nn.Module, head: nn.Module, points: Tensor, targets: Tensor, classes: Sequence[str]
) -> None:
    """Draw the points as mapped by `hidden`, the decision regions of `head`, and the mapped grid."""
    moved = hidden(points[:, :, None, None]).flatten(1)
    draw_regions(axes, head, moved, targets, classes)
    (left, right), (bottom, top) = _limits(points[:, 0]), _limits(points[:, 1])
    steps = torch.linspace(0, 1, 200)
    for place in torch.linspace(0, 1, LINES):
        level, upright = bottom + (top - bottom) * place, left + (right - left) * place
        for line in (
            torch.stack([left + (right - left) * steps, level.expand(200)], 1),
            torch.stack([upright.expand(200), bottom + (top - bottom) * steps], 1),
        ):
            path = hidden(line[:, :, None, None]).flatten(1).numpy()
            axes.plot(path[:, 0], path[:, 1], color="#5b616a", alpha=0.45, linewidth=0.6, zorder=1)
    axes.set_title("in the space of the hidden layer", fontweight="normal", fontsize=9)


def _scatter(axes: Axes, points: NDArray[np.float32], targets: Tensor, classes: Sequence[str]) -> None:
    for k in range(int(targets.max()) + 1):
        mine = points[(targets == k).numpy()]
        axes.scatter(
            mine[:, 0],
            mine[:, 1],
            s=9,
            color=CYCLE[k % len(CYCLE)],
            edgecolors="white",
            linewidths=0.3,
            label=classes[k],
            zorder=2,
        )


def _limits(values: Tensor) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * max(high - low, 1e-6)
    return low - margin, high + margin
