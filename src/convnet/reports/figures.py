"""The figures of a run: curves, confusion matrix, ROC, columns, equivariance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from convnet.analysis import Equivariance
from convnet.data import Dataset, all_images
from convnet.reports.style import CHART, CYCLE, MUTED, TEST, TRAIN, VAL, figure, log_scale, shortened
from convnet.tasks import Score
from convnet.training.rate_finder import RateCurve

Row = dict[str, float | None]
MOST_COLUMNS = 12
MOST_NAMED = 6
"""The largest number of classes whose names fit into a small chart."""
MOST_CLASSES = 120
"""The largest number of classes in a confusion matrix."""
LARGE_CELLS = 30
"""The largest number of classes for which a confusion matrix has large cells."""


def curve(kind: str, rows: Sequence[Row], test: Row | None, score: Score) -> Figure:
    """Loss or metric per epoch, training and validation, with the final test value as a line."""
    epochs = np.array([row["epoch"] for row in rows], float)
    with figure(*CHART) as picture:
        axes = picture.subplots()
        marker = "o" if len(rows) < 40 else None
        for split, color in (("train", TRAIN), ("val", VAL)):
            values = np.array([row[f"{split}_{kind}"] for row in rows], float)
            if not np.isnan(values).all():
                label = {"train": "training", "val": "validation"}[split]
                axes.plot(epochs, values, color=color, marker=marker, markersize=3, label=label)
        if test is not None and (value := test[kind]) is not None:
            axes.axhline(value, color=TEST, linestyle="--", linewidth=1, label="test (final)")
        axes.set_title("Loss" if kind == "loss" else sentence(score.label))
        epoch_axis(axes, len(rows))
        if kind != "loss":
            score_axis(axes, score)
        axes.legend(loc="best")
    return picture


def epoch_axis(axes: Axes, epochs: int) -> None:
    """Whole numbers of epochs; a single epoch stands in the middle."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if epochs == 1:
        axes.set_xlim(0, 2)
        axes.set_xticks([1])
        if axes.get_yscale() == "linear":
            low, high = axes.get_ylim()
            axes.set_ylim(max(low - (high - low), min(low, 0)), high + (high - low))


def step_axis(axes: Axes) -> None:
    """Whole numbers of steps, few enough for their digits."""
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def score_axis(axes: Axes, score: Score) -> None:
    """The unit of a metric: percent or decibels."""
    if score.decibels:
        axes.set_ylabel("dB")
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.02), min(high, 1.02))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))


def sentence(label: str) -> str:
    """The label with a capital first letter: "Pixel accuracy", "PSNR"."""
    return label[:1].upper() + label[1:]


def smooth(values: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    """The bias-corrected exponential moving average over about `span` values."""
    decay = 1 - 1 / max(1.0, span)
    out, mean, weight = np.empty_like(values), 0.0, 0.0
    for i, value in enumerate(values):
        mean, weight = decay * mean + (1 - decay) * value, decay * weight + (1 - decay)
        out[i] = mean / weight
    return out


def step_losses(rows: Sequence[Row]) -> Figure:
    """The training loss of every batch, raw and smoothed."""
    number = np.array([row["step"] for row in rows], float)
    loss = np.array([row["loss"] for row in rows], float)
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.plot(number, loss, color=TRAIN, alpha=0.35, linewidth=0.7, label="each batch")
        axes.plot(number, smooth(loss, len(loss) / 50), color=TRAIN, label="smoothed")
        if loss.min() > 0 and loss.max() / loss.min() > 50:
            log_scale(axes)
        axes.set_title("Training loss per step")
        step_axis(axes)
        axes.legend(loc="upper right")
    return picture


def learning_rates(rows: Sequence[Row]) -> Figure:
    """The learning rate of every step."""
    number = np.array([row["step"] for row in rows], float)
    rate = np.array([row["learning_rate"] for row in rows], float)
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.plot(number, rate, color=MUTED)
        axes.set_title("Learning rate")
        axes.set_ylim(0, rate.max() * 1.15)
        step_axis(axes)
    return picture


def rate_curve(curve: RateCurve, own: float) -> Figure:
    """The smoothed training loss by learning rate, with the suggestion and the recipe's own rate."""
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.plot(curve.rates, curve.losses, color=TRAIN)
        axes.axvline(curve.suggested, color=TEST, linestyle="--", label=f"suggested {curve.suggested:.2g}")
        axes.axvline(own, color=VAL, linestyle=":", label=f"recipe {own:.2g}")
        axes.set_xscale("log")
        low, start = float(curve.losses.min()), float(curve.losses[0])
        axes.set_ylim(low - 0.05 * (start - low + 1e-9), start + 0.6 * (start - low) + 1e-6)
        axes.set_title("Loss by learning rate")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss, smoothed")
        axes.legend(fontsize=8.5)
    return picture


def confusion(
    counts: NDArray[np.int64], classes: Sequence[str], title: str, *, normalized: bool = False
) -> Figure:
    """A confusion matrix, colored by the fraction of each true class, with confused classes side by side.

    Args:
        counts: K×K, rows are true classes.
        classes: The class names.
        title: The title.
        normalized: Whether the cells show percentages of the true class instead of counts.
    """
    order = confusion_order(counts)
    if len(order) > MOST_CLASSES:
        errors = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
        kept = set(np.argsort(-errors, kind="stable")[:MOST_CLASSES].tolist())
        order = [k for k in order if k in kept]
        title = f"{title}: the {MOST_CLASSES} classes with most errors"
    counts, classes = counts[np.ix_(order, order)], [shortened(classes[i]) for i in order]
    k = len(classes)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell, size = (0.42, 8.5) if k <= LARGE_CELLS else (0.24, 6)
    side = max(4.2, 2.6 + cell * k)
    with figure(side + 0.8, side) as picture:
        axes = picture.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        axes.set_title(title)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        long, steep = max(map(len, classes)) > 2, 45 if k <= LARGE_CELLS else 90
        axes.set_xticks(range(k), classes, rotation=steep if long else 0, ha="center", fontsize=size + 1)
        if long and steep == 45:
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
        axes.set_yticks(range(k), classes, fontsize=size + 1)
        for (i, j), count in np.ndenumerate(counts):
            if count:
                text = f"{100 * shares[i, j]:.0f}" if normalized else f"{count}"
                color = "white" if shares[i, j] > 0.6 else "#3c4149"
                axes.text(j, i, text, ha="center", va="center", fontsize=size, color=color)
        picture.colorbar(image, ax=axes, shrink=min(0.8, 4 / side), format=PercentFormatter(1))
    return picture


def confusion_order(counts: NDArray[np.int64]) -> list[int]:
    """The classes in an order in which confused ones are neighbors (average linkage, optimal leaf order).

    The given order is kept for fewer than three classes and for fewer errors than classes.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage  # imported here because it takes a moment
    from scipy.spatial.distance import squareform

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    nearness = shares + shares.T
    np.fill_diagonal(nearness, 0)
    if len(counts) < 3 or counts.sum() - counts.trace() < len(counts):
        return list(range(len(counts)))
    distances = nearness.max() - nearness
    np.fill_diagonal(distances, 0)
    joined = linkage(squareform(distances), "average", optimal_ordering=len(counts) <= MOST_CLASSES)
    return [int(i) for i in leaves_list(joined)]


def code_map(
    points: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str], title: str
) -> Figure:
    """Points N×2, colored by class if there are at most 20."""
    with figure(CHART[0], 4.6) as picture:
        axes = picture.subplots()
        few = 1 < len(classes) <= 20
        for k, name in enumerate(classes) if few else [(0, "")]:
            x, y = points[labels == k].T if few else points.T
            color = mpl.colormaps["tab20" if len(classes) > 10 else "tab10"](k)
            axes.scatter(x, y, s=9, color=color, alpha=0.7, linewidths=0, label=name)
        axes.set_title(title)
        axes.set_xlabel("first principal component")
        axes.set_ylabel("second")
        if few:
            picture.legend(loc="outside lower center", markerscale=2, ncols=5, fontsize=8.5)
    return picture


def roc(false: NDArray[np.float64], true: NDArray[np.float64], area: float, positive: str) -> Figure:
    """The ROC curve, and the diagonal of random guessing."""
    with figure(CHART[0], CHART[0]) as picture:
        axes = picture.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        axes.plot(false, true, color=TRAIN, drawstyle="steps-post")
        axes.set_title(f"ROC of '{shortened(positive)}': area {area:.4f}")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.set_aspect("equal")
    return picture


def columns(dataset: Dataset) -> Iterator[Figure]:
    """Histograms per class of the columns whose class means differ most."""
    numbers, targets = all_images(dataset).flatten(1).cpu().numpy(), dataset.targets.cpu().numpy()
    means = np.stack([numbers[targets == k].mean(0) for k in np.unique(targets)])
    apart = np.ptp(means, 0) / np.maximum(numbers.std(0), 1e-12)
    for column in np.argsort(-apart)[:MOST_COLUMNS]:
        low, high = numbers[:, column].min().astype(float), numbers[:, column].max().astype(float)
        edges = np.linspace(low, high if high > low else low + 1, 31).tolist()
        with figure(CHART[0], 2.0) as picture:
            axes = picture.subplots()
            for k in np.unique(targets):
                name = shortened(dataset.info.classes[k])
                axes.hist(numbers[targets == k, column], edges, alpha=0.55, label=name)
            axes.set_title(shortened(dataset.info.columns[column]))
            axes.set_yticks([])
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            if len(means) <= MOST_NAMED:
                axes.legend(fontsize=8.5)
        yield picture


def draw_equivariance(measured: Mapping[str, Equivariance]) -> Figure:
    """Equivariance errors and changes of the last maps, per shift and network.

    Args:
        measured: Results of `equivariance` by the name of the network.

    Returns:
        The figure; write it with `savefig`.
    """
    with figure(10, 3.8) as picture:
        moving, staying = picture.subplots(1, 2)
        for number, (name, found) in enumerate(measured.items()):
            shifts = [f"{down}, {right}" if down else str(right) for down, right in found.shifts]
            color = CYCLE[number % len(CYCLE)]
            moving.plot(shifts, found.maps.errors or (), "o-", color=color, label=name)
            staying.plot(shifts, found.maps.changes, "o-", color=color, label=name)
        moving.set_title("Last maps: error of equivariance")
        staying.set_title("Last maps: change in place")
        for axes in (moving, staying):
            axes.set_xlabel("shift (pixels)")
            axes.set_ylabel("relative difference")
            axes.set_ylim(bottom=0)
            axes.legend()
    return picture
