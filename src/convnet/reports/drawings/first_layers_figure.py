"""Templates and filters of several networks side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from convnet.concepts.first_layers import MOST, FirstLayer, FirstLayers
from convnet.reports.style import bare, figure

SIDE = 4.2
"""The side of a sheet in inches."""


def first_layers_figure(found: FirstLayers) -> Figure:
    """One sheet per network; 0 is mid-gray, and every image has its own contrast."""
    count = len(found.layers)
    with figure(SIDE * count, SIDE + 0.55) as picture:
        for axes, layer in zip(picture.subplots(1, count, squeeze=False).flat, found.layers, strict=True):
            _sheet(axes, layer)
    return picture


def _sheet(axes: Axes, layer: FirstLayer) -> None:
    order = range(len(layer.weights))
    if not layer.labels:
        order = layer.weights.flatten(1).norm(dim=1).argsort(descending=True)[:MOST].tolist()
    images = [weight_image(layer.weights[i]) for i in list(order)[:MOST]]
    columns = math.ceil(math.sqrt(len(images)))
    rows = -(-len(images) // columns)
    side = images[0].shape[0]
    pad = max(1, side // 8)
    sheet = np.full(
        (rows * (side + pad) - pad, columns * (images[0].shape[1] + pad) - pad, images[0].shape[2]),
        255,
        np.uint8,
    )
    for number, image in enumerate(images):
        top, left = number // columns * (side + pad), number % columns * (image.shape[1] + pad)
        sheet[top : top + side, left : left + image.shape[1]] = image
        if layer.labels:
            axes.text(left, top - pad * 0.2, layer.labels[number], fontsize=7.5, va="bottom")
    bare(axes)
    axes.imshow(
        sheet[:, :, 0] if sheet.shape[2] == 1 else sheet,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest",
    )
    shape = "×".join(map(str, layer.weights.shape[1:]))
    shown = f"{len(images)} of {len(layer.weights)}" if len(images) < len(layer.weights) else f"{len(images)}"
    axes.set_title(f"{layer.network}\n{shown} {layer.noun} of {shape}", fontsize=9.5, pad=14)
    axes.set_anchor("N")


def weight_image(weights: Tensor) -> NDArray[Any]:
    """Weights C×H×W as an image H×W×C, 0 as mid-gray; one channel at a time if they are not 1 or 3."""
    values = weights.float() if weights.shape[0] in (1, 3) else weights.float().mean(0, keepdim=True)
    largest = float(values.abs().max()) or 1.0
    found: NDArray[Any] = (127.5 + 127.5 * values / largest).round().byte().permute(1, 2, 0).numpy()
    return found
