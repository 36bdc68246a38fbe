"""Figures of an evaluation: reliability, coverage, ROC, precision-recall, robustness, embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from convnet.evaluation import CorruptedAccuracy, EmbeddingMap
from convnet.explain.calibration import Reliability, reliability
from convnet.explain.unknown import coverage_accuracy
from convnet.reports.style import CHART, CYCLE, MUTED, TEST, TRAIN, VAL, figure, shortened
from convnet.tasks import ClassificationResult

MOST_CURVES = 8
"""The largest number of classes that have curves of their own, those with the smallest area."""
Numbers = NDArray[np.float64]

COLORED = 20
"""The largest number of classes that are told apart by color."""


def reliability_diagram(evaluation: ClassificationResult) -> Figure:
    """Accuracy by confidence, before and after temperature scaling."""
    before = reliability(evaluation.logits.softmax(1), evaluation.targets)
    after = reliability(evaluation.probabilities, evaluation.targets)
    scaled = evaluation.calibration.temperature != 1
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="perfect")
        if scaled:
            _points(axes, before, VAL, f"before: error {before.error:.4f}")
        _points(axes, after, TRAIN, f"{'after' if scaled else 'as trained'}: error {after.error:.4f}")
        axes.set_title("Reliability")
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        _percent(axes)
        axes.legend(loc="upper left", fontsize=8.5)
    return picture


def _points(axes: Axes, found: Reliability, color: str, label: str) -> None:
    there = found.counts > 0
    area = 12 + 90 * np.sqrt(found.counts[there] / found.counts.max())
    axes.plot(found.confidence[there], found.accuracy[there], color=color, linewidth=1.2, alpha=0.7)
    place = found.confidence[there], found.accuracy[there]
    axes.scatter(place[0], place[1], s=area, color=color, alpha=0.8, linewidths=0, label=label)


def confidence_histogram(evaluation: ClassificationResult) -> Figure:
    """The confidence of correct and of wrong predictions."""
    confidence = evaluation.probabilities.amax(1).numpy()
    right = (evaluation.predicted == evaluation.targets).numpy()
    edges = np.linspace(0, 1, 21).tolist()
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.hist(
            [confidence[right], confidence[~right]], edges, stacked=True, color=[TEST, CYCLE[4]],
            label=["correct", "wrong"],
        )  # fmt: skip
        axes.set_title("Confidence of predictions")
        axes.set_xlabel("confidence")
        axes.set_ylabel("samples")
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="upper left", fontsize=8.5)
    return picture


def coverage_curve(evaluation: ClassificationResult) -> Figure | None:
    """The accuracy of accepted samples by the fraction that is accepted; None without a threshold."""
    rule = evaluation.calibration.unknown
    if rule is None:
        return None
    coverage, accuracy = coverage_accuracy(evaluation.calibrated, evaluation.targets, rule)
    accepted = float((~rule.unknown(evaluation.calibrated.numpy())).mean())
    with figure(*CHART) as picture:
        axes = picture.subplots()
        axes.plot(coverage, accuracy, color=TRAIN)
        label = f"threshold: {accepted:.1%} accepted"
        axes.axvline(accepted, color=VAL, linestyle="--", linewidth=1, label=label)
        axes.set_title("Accuracy of accepted samples")
        axes.set_xlabel("fraction accepted")
        axes.set_ylabel("accuracy")
        low = float(accuracy[len(accuracy) // 20 :].min())
        axes.set_ylim(max(0, low - 0.1 * (1 - low) - 0.005), 1.005)
        _percent(axes)
        axes.legend(loc="lower left", fontsize=8.5)
    return picture


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(PercentFormatter(1, decimals=None))


def ranking_curves(evaluation: ClassificationResult, classes: Sequence[str]) -> tuple[Figure, Figure] | None:
    """ROC and precision-recall curves of each class against the others; None unless two classes have samples.

    Of two classes only the second has a curve; of many those with the smallest average precision.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    targets, scores = evaluation.targets.numpy(), evaluation.probabilities.double().numpy()
    there = np.unique(targets).tolist()
    if len(there) < 2:
        return None
    chosen = [1] if len(classes) == 2 else there
    truth = {k: targets == k for k in chosen}
    precision = {k: float(average_precision_score(truth[k], scores[:, k])) for k in chosen}
    area = {k: float(roc_auc_score(truth[k], scores[:, k])) for k in chosen}
    hardest = sorted(chosen, key=lambda k: precision[k])[:MOST_CURVES]
    drawn = []
    for title, x_name, y_name, mean in (
        ("ROC", "false positive rate", "true positive rate", np.mean(list(area.values()))),
        ("Precision-recall", "recall", "precision", np.mean(list(precision.values()))),
    ):
        with figure(CHART[0], CHART[0]) as picture:
            axes = picture.subplots()
            for number, k in enumerate(hardest):
                if title == "ROC":
                    x, y, _ = roc_curve(truth[k], scores[:, k])
                    label = f"{shortened(classes[k])} {area[k]:.3f}"
                else:
                    y, x, _ = precision_recall_curve(truth[k], scores[:, k])
                    label = f"{shortened(classes[k])} {precision[k]:.3f}"
                x, y = _thinned(x, y)
                axes.plot(x, y, color=CYCLE[number % len(CYCLE)], linewidth=1.2, label=label)
            axes.set_title(f"{title}: {'mean ' if len(chosen) > 1 else ''}area {mean:.4f}", fontsize=10)
            axes.set_xlabel(x_name)
            axes.set_ylabel(y_name)
            axes.set_xlim(-0.02, 1.02)
            axes.set_ylim(-0.02, 1.02)
            axes.legend(fontsize=8, loc="lower right" if title == "ROC" else "lower left")
        drawn.append(picture)
    return drawn[0], drawn[1]


MOST_POINTS = 400


def _thinned(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """At most 400 points of a curve, its ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    return x[kept], y[kept]


def robustness_chart(rows: Sequence[CorruptedAccuracy]) -> Figure:
    """The accuracy by strength for every corruption, with 95% intervals."""
    clean = next(row for row in rows if not row.strength)
    names = list(dict.fromkeys(row.corruption for row in rows if row.strength))
    with figure(CHART[0], 3.4) as picture:
        axes = picture.subplots()
        for number, name in enumerate(names):
            points = [clean, *(row for row in rows if row.corruption == name)]
            strengths = [row.strength for row in points]
            color = CYCLE[number % len(CYCLE)]
            accuracies = [row.accuracy for row in points]
            axes.plot(strengths, accuracies, "o-", color=color, markersize=3, label=name)
            low, high = zip(*(row.interval or (row.accuracy, row.accuracy) for row in points), strict=True)
            axes.fill_between(strengths, low, high, color=color, alpha=0.1, linewidth=0)
        axes.set_title(f"Accuracy under corruption (n = {clean.samples:,})")
        axes.set_xlabel("strength (0: as they are)")
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(fontsize=8.5, ncols=2, loc="lower left")
    return picture


def embedding_charts(found: EmbeddingMap, classes: Sequence[str]) -> list[tuple[str, Figure]]:
    """The embeddings by PCA and by t-SNE, colored by class."""
    drawn = []
    for name, points in (("PCA", found.pca), ("t-SNE", found.t_sne)):
        if points is None:
            continue
        with figure(CHART[0], 4.4) as picture:
            axes = picture.subplots()
            few = len(classes) <= COLORED
            colors = _class_colors(len(classes))
            for k in np.unique(found.labels).tolist() if few else []:
                x, y = points[found.labels == k].T
                name_of = shortened(classes[k])
                axes.scatter(x, y, s=9, color=colors[k], alpha=0.75, linewidths=0, label=name_of)
            if few:
                picture.legend(loc="outside lower center", markerscale=2, ncols=4, fontsize=8)
            else:
                x, y = points.T
                axes.scatter(x, y, s=9, c=found.labels, cmap="turbo", alpha=0.75, linewidths=0)
            axes.set_title(f"Embeddings by {name} (n = {len(points):,})")
            axes.set_xticks([])
            axes.set_yticks([])
        drawn.append((name, picture))
    return drawn


def _class_colors(count: int) -> list[tuple[float, ...]]:
    return [mpl.colormaps["tab20" if count > 10 else "tab10"](k) for k in range(count)]
