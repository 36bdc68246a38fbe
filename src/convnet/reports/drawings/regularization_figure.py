"""Histograms of weights after training with several regularizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from convnet.concepts.regularized import Regularization, TrainedWeights
from convnet.reports.drawings.first_layers_figure import weight_image
from convnet.reports.style import CYCLE, bare, figure

WIDTH = 2.3
SHOWN = 4
"""The number of images of the first layer per regularizer."""
BINS = 61


def regularization_figure(found: Regularization) -> Figure:
    """One column per regularizer: the histogram of its weights, and some weights of its first layer."""
    count = len(found.variants)
    pictured = all(variant.images is not None for variant in found.variants)
    sizes = np.concatenate([variant.weights.abs().numpy() for variant in found.variants])
    reach = float(np.quantile(sizes, 0.999)) or 1.0
    ratios = [2.6, 1.7] if pictured else [1.0]
    with figure(WIDTH * count + 0.5, 3.0 + (1.8 if pictured else 0)) as picture:
        grid = picture.subplots(len(ratios), count, squeeze=False, height_ratios=ratios)
        for column, variant in enumerate(found.variants):
            axes = grid[0, column]
            axes.sharey(grid[0, 0])
            axes.set_yscale("log")
            _histogram(axes, variant, reach, CYCLE[column % len(CYCLE)])
            if pictured and variant.images is not None:
                _images(grid[1, column], variant.images)
        grid[0, 0].set_ylabel("number of weights")
    return picture


def _histogram(axes: Axes, variant: TrainedWeights, reach: float, color: str) -> None:
    values = variant.weights.clamp(-reach, reach).numpy()
    axes.hist(values, np.linspace(-reach, reach, BINS).tolist(), color=color)
    axes.set_title(variant.name)
    text = f"‖W‖ = {variant.norm:.1f}, {variant.small:.0%} below 0.01\nheld out {variant.held_out:.1%}"
    axes.set_xlabel(text, fontsize=8.5)


def _images(axes: Axes, images: Tensor) -> None:
    """The weight images of largest norm, two in a row."""
    order = images.flatten(1).norm(dim=1).argsort(descending=True)[:SHOWN].tolist()
    tiles: list[NDArray[Any]] = [
        np.pad(weight_image(images[i]), ((1, 1), (1, 1), (0, 0)), constant_values=255) for i in order
    ]
    rows = [np.concatenate(tiles[i : i + 2], 1) for i in range(0, len(tiles) - len(tiles) % 2, 2)] or tiles[
        :1
    ]
    sheet = np.concatenate(rows)
    bare(axes)
    gray = sheet.shape[2] == 1
    axes.imshow(sheet[:, :, 0] if gray else sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
