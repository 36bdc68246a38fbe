"""What a kernel does with numbers or an image: convolution beside cross-correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.concepts.filtering import Filtering
from convnet.reports.drawings.number_grid import LARGEST, number_grid
from convnet.reports.style import TRAIN, VAL, bare, figure

CELL, GAP = 0.4, 1.5
LARGEST_KERNEL = 7


def filtering_figure(found: Filtering) -> Figure:
    """Before and after: grids of numbers if they fit, a plot of a long signal, or pictures."""
    if found.is_signal and found.values.shape[2] > LARGEST:
        return _signal(found)
    if found.values.shape[0] == 1 and max(found.values.shape[1:]) <= LARGEST:
        return _numbers(found)
    return _pictures(found)


def _results(found: Filtering) -> list[tuple[str, NDArray[Any]]]:
    results = [("convolution", found.convolution)]
    return results if found.is_symmetric else [*results, ("cross-correlation", found.correlation)]


def _numbers(found: Filtering) -> Figure:
    """Grids side by side, or one below the other for a signal."""
    grids = [("input", found.values[0]), ("kernel", found.kernel)]
    grids += [(name, values[0]) for name, values in _results(found)]
    x = y = right = bottom = 0.0
    places = []
    for _, values in grids:
        places.append((x, y))
        right, bottom = max(right, x + max(values.shape[1], 4)), max(bottom, y + values.shape[0])
        x, y = (0.0, y + 1 + GAP) if found.is_signal else (x + max(values.shape[1], 4) + GAP, 0.0)
    with figure(CELL * right + 0.4, CELL * (bottom + 1) + 0.3) as picture:
        axes = picture.subplots()
        bare(axes)
        for (name, values), place in zip(grids, places, strict=True):
            number_grid(axes, values, place, name, signed=name == "kernel")
        axes.set(xlim=(-0.2, right + 0.2), ylim=(bottom + 0.2, -0.9))
        axes.set_aspect("equal", anchor="W")
    return picture


def _signal(found: Filtering) -> Figure:
    with figure(8, 3) as picture:
        axes = picture.subplots()
        axes.plot(found.values[0, 0], color="#8a8f98", label="input")
        for (name, values), color in zip(_results(found), (TRAIN, VAL), strict=False):
            axes.plot(values[0, 0], color=color, label=name)
        axes.set_xlabel("position")
        axes.legend()
    return picture


def _pictures(found: Filtering) -> Figure:
    """The image, the kernel and the results; signed results around mid-gray."""
    results = _results(found)
    wide = 3.1
    tall = wide * min(1.6, found.values.shape[1] / found.values.shape[2])
    with figure(wide * (len(results) + 1) + 1.9, tall + 0.5) as picture:
        ratios = [wide, 1.7, *([wide] * len(results))]
        before, kernel, *after = picture.subplots(1, len(ratios), width_ratios=ratios)
        _show(before, found.values, "image")
        _kernel(kernel, found.kernel)
        signed = abs(float(found.kernel.sum())) < 1e-6
        for axes, (name, values) in zip(after, results, strict=True):
            largest = float(np.abs(values).max()) or 1.0
            _show(axes, 127.5 + 127.5 * values / largest if signed else values, name)
    return picture


def _show(axes: Axes, values: NDArray[Any], title: str) -> None:
    bare(axes)
    pixels = np.clip(np.round(values), 0, 255).astype(np.uint8)
    if len(pixels) == 3:
        axes.imshow(np.moveaxis(pixels, 0, 2))
    else:
        axes.imshow(pixels[0], cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=10)


def _kernel(axes: Axes, kernel: NDArray[Any]) -> None:
    bare(axes)
    axes.set_title("kernel", fontsize=10)
    if max(kernel.shape) > LARGEST_KERNEL:
        largest = float(np.abs(kernel).max()) or 1.0
        axes.imshow(kernel, cmap="RdBu", vmin=-largest, vmax=largest)
        return
    number_grid(axes, kernel, (0, 0), signed=True)
    axes.set(xlim=(-0.1, kernel.shape[1] + 0.1), ylim=(kernel.shape[0] + 0.1, -0.1))
    axes.set_aspect("equal")
