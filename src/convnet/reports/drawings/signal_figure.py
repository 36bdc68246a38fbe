"""The scale of activations and gradients by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.concepts.signals import Signals
from convnet.reports.style import CYCLE, figure

SMALLEST = 1e-45
DASHES = ("-", "--", "-.", ":")


def signal_figure(found: Signals) -> Figure:
    """Standard deviations per layer on logarithmic axes, one line per design."""
    layers = np.arange(1, found.depth + 1)
    with figure(10, 3.7) as picture:
        forward, backward = picture.subplots(1, 2)
        for number, network in enumerate(found.networks):
            line: Any = {"color": CYCLE[number % len(CYCLE)], "linestyle": DASHES[number % len(DASHES)]}
            forward.plot(layers, _positive(network.activations), label=network.design, **line)
            backward.plot(layers, _positive(network.gradients), **line)
        forward.set_title("Activations: standard deviation")
        backward.set_title("Gradients: standard deviation")
        for axes in (forward, backward):
            axes.set_yscale("log")
            axes.set_xlabel(f"layer (of {found.depth}, {found.activation}, {found.width} units)")
        picture.legend(*forward.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return picture


def _positive(values: tuple[float, ...]) -> NDArray[Any]:
    """Values for a logarithmic axis; zeros and infinities are left out."""
    array = np.array(values)
    return np.where((array > SMALLEST) & np.isfinite(array), array, np.nan)
