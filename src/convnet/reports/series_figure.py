"""Figures of series: by class, and with evidence or predictions along time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import nn

from convnet.data import Dataset, labels_of, read_sample
from convnet.layers import Network
from convnet.models.temporal import Temporal
from convnet.outputs.mask_colors import class_colors
from convnet.reports.style import CHART, MUTED, figure, shortened
from convnet.types import IGNORED

SHOWN_CLASSES, LINES = 6, 12
SHOWN = 6
COLORS = "coolwarm"


def class_series(dataset: Dataset, indices: Sequence[int]) -> Iterator[Figure]:
    """The first channel of some series of each class, or of the first series if there are no classes."""
    labels = labels_of(dataset)[list(indices)].numpy()
    for k in list(np.unique(labels))[:SHOWN_CLASSES]:
        members = np.array(indices)[labels == k][:LINES]
        with figure(CHART[0], 2.2) as picture:
            axes = picture.subplots()
            for series in dataset.read(torch.tensor(members)).images[:, 0, 0].numpy():
                axes.plot(series, linewidth=0.8, alpha=0.6)
            title = f"{len(members)} series"
            if dataset.info.target.exclusive:
                title = f"{shortened(dataset.info.classes[k])} (n = {(labels == k).sum():,})"
            axes.set_title(title)
        yield picture


@torch.no_grad()
def evidence(model: Network, dataset: Dataset, rows: Sequence[Mapping[str, str]]) -> Iterator[Figure]:
    """Held-out series, colored by the evidence for the predicted class relative to the next best one.

    Only a `Temporal` network has evidence of every step.

    Args:
        model: The network.
        dataset: The series.
        rows: Rows of predictions.csv, least confident first.
    """
    network = model.network
    if not isinstance(network, Temporal) or not rows:
        return
    drawn = []
    for row in rows[:: max(1, len(rows) // SHOWN)][:SHOWN]:
        values = read_sample(dataset, int(row["index"])).images
        found = network.steps(model.normalize(values))[0][0]
        own = dataset.info.classes.index(row["predicted"])
        others = torch.cat([found[:own], found[own + 1 :]]).amax(0)
        drawn.append((row, _own_steps(values[0, 0, 0]), (found[own] - others).numpy()))
    most = max(float(np.abs(difference).max()) for _, _, difference in drawn)
    for row, line, difference in drawn:
        with figure(CHART[0], 2.4) as picture:
            axes = picture.subplots()
            _colored_line(axes, line, difference, most)
            right = "correct" if row["class"] == row["predicted"] else f"true class {shortened(row['class'])}"
            title = f"{shortened(row['predicted'])} ({float(row['confidence']):.0%}, {right})"
            axes.set_title(title, fontsize=9.5)
            picture.colorbar(ScalarMappable(Normalize(-most, most), COLORS), ax=axes)
        yield picture


@torch.no_grad()
def steps_figure(model: nn.Sequential, dataset: Dataset, rows: Sequence[Mapping[str, str]]) -> Figure:
    """Held-out series with the predicted and the true class of every step."""
    chosen = rows[:: max(1, len(rows) // SHOWN)][:SHOWN]
    colors = class_colors(len(dataset.info.classes)) / 255
    with figure(10, 1.7 * len(chosen) + 0.7) as picture:
        title = "Held-out series: predicted class of every step (upper strip) and true class (lower strip)"
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        for axes, row in zip(picture.subplots(len(chosen), 1, squeeze=False)[:, 0], chosen, strict=True):
            index = int(row["index"])
            values, truth = read_sample(dataset, index).images, dataset.targets[index, 0].numpy()
            predicted = model(values).argmax(1)[0, 0].numpy()
            line = _own_steps(values[0, 0, 0])
            axes.plot(line, color=MUTED, linewidth=0.9)
            low, high = float(line.min()), float(line.max())
            room = 0.14 * (high - low or 1.0)
            strips = np.stack([predicted, truth])[:, : len(line)]
            shown = np.where(strips == IGNORED, len(colors), strips)
            extent = (-0.5, len(line) - 0.5, low - 3 * room, low - room)
            palette = ListedColormap([*colors, (1.0, 1.0, 1.0)])
            axes.imshow(
                shown,
                cmap=palette,
                vmin=0,
                vmax=len(colors),
                extent=extent,
                aspect="auto",
                interpolation="nearest",
            )
            axes.set_ylim(low - 3.2 * room, high + room)
            accuracy = f"{float(row['pixel_accuracy']):.1%}" if row["pixel_accuracy"] else "–"
            axes.set_title(f"{row['sample']}  {accuracy}", fontsize=9, fontweight="normal")
            axes.grid(False)
        patches = [Patch(color=c, label=name) for c, name in zip(colors, dataset.info.classes, strict=True)]
        picture.legend(handles=patches[:12], loc="outside lower center", ncols=min(6, len(patches)))
    return picture


def _own_steps(values: torch.Tensor) -> NDArray[np.float32]:
    """The values up to the end of the series."""
    numbers: NDArray[np.float32] = values.numpy()
    return numbers[~np.isnan(numbers)]


def _colored_line(axes: Axes, values: NDArray[np.float32], color: NDArray[np.float32], most: float) -> None:
    points = np.stack([np.arange(len(values)), values], 1)
    segments = np.stack([points[:-1], points[1:]], 1)
    line = LineCollection(list(segments), cmap=COLORS, norm=Normalize(-most, most), linewidths=2)
    line.set_array(color[: len(values) - 1])
    axes.add_collection(line)
    axes.autoscale()
