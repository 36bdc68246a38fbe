"""The page and the figure of a comparison: curves, a table of metrics, the differing fields."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from convnet.atomic import write_atomically
from convnet.evaluation.diagnosis import Finding
from convnet.evaluation.variant import Variant
from convnet.reports.figures import epoch_axis, score_axis, sentence
from convnet.reports.html import render
from convnet.reports.style import CHART, CYCLE, TEST, VAL, figure, log_scale, to_png, to_svg
from convnet.tasks import Score

SPLITS = ("val", "test")
BALANCED = 0.01
"""The difference of accuracy and balanced accuracy from which both are shown."""


def write_compare_report(
    folder: Path, title: str, variants: Sequence[Variant], score: Score, diagnosis: Sequence[Finding] = ()
) -> Path:
    """Write `compare.html` and `compare.png` into `folder` and return the path of the page."""
    write_atomically(folder / "compare.png", to_png(compare_figure(variants, score)))
    page = render(
        "compare.html",
        title=title,
        score=score,
        variants=variants,
        diagnosis=diagnosis,
        colors=[CYCLE[i % len(CYCLE)] for i in range(len(variants))],
        panels=[(title, to_svg(picture)) for title, picture in _charts(variants, score)],
        differences=differences(variants),
        balanced=any(_is_imbalanced(variant, score.key) for variant in variants),
        reports=_reports(folder, variants),
    )
    write_atomically(folder / "compare.html", page)
    return folder / "compare.html"


def _is_imbalanced(variant: Variant, score: str) -> bool:
    """Whether accuracy and balanced accuracy differ, as they do with classes of different sizes."""
    pairs = [(variant.spread(split, score), variant.spread(split, "balanced_accuracy")) for split in SPLITS]
    return any(one and other and abs(one[0] - other[0]) > BALANCED for one, other in pairs)


def _reports(folder: Path, variants: Sequence[Variant]) -> dict[str, str]:
    """The address of each run's report, relative to the page."""
    runs = [str(result["run"]) for variant in variants for result in variant.results]
    return {run: Path(os.path.relpath(Path(run) / "report.html", folder)).as_posix() for run in runs}


def differences(variants: Sequence[Variant]) -> list[tuple[str, list[Any]]]:
    """The fields of the recipes that differ between variants, with the value of each variant."""
    keys = sorted({key for variant in variants for key in variant.recipe} - {"name"})
    table = [(key, [variant.recipe.get(key, "–") for variant in variants]) for key in keys]
    return [(key, values) for key, values in table if any(value != values[0] for value in values)]


def _scores(variants: Sequence[Variant], score: Score) -> Figure:
    """The figure for models without epochs: held-out metrics ± one standard deviation."""
    with figure(6, 1.2 + 0.4 * len(variants)) as picture:
        axes = picture.subplots()
        for i, variant in enumerate(variants):
            for split, color in (("val", VAL), ("test", TEST)):
                if (spread := variant.spread(split, score.key)) is not None:
                    label = {"val": "validation", "test": "test"}[split] if not i else None
                    axes.errorbar(spread[0], i, xerr=spread[1] or 0.0, fmt="o", color=color, label=label)
        axes.set_yticks(range(len(variants)), [variant.label for variant in variants])
        axes.invert_yaxis()
        if not score.decibels:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_title(sentence(score.label))
        axes.legend(loc="best")
    return picture


def compare_figure(variants: Sequence[Variant], score: Score) -> Figure:
    """Loss and metric per epoch, one curve per variant; bands are ± one standard deviation."""
    panels = _panels(variants, score)
    if not panels:
        return _scores(variants, score)
    with figure(4.3 * len(panels), 3.9) as picture:
        all_axes = picture.subplots(1, len(panels))
        for axes, (column, title) in zip(all_axes, panels.items(), strict=True):
            _draw(axes, variants, score, column, title)
        all_axes[0].legend(loc="best")
    return picture


def _charts(variants: Sequence[Variant], score: Score) -> Iterator[tuple[str, Figure]]:
    """The panels of `compare_figure` as one figure each; the page has the legend."""
    panels = _panels(variants, score)
    for column, title in panels.items():
        with figure(*CHART) as picture:
            _draw(picture.subplots(), variants, score, column, title)
        yield title, picture
    if not panels:
        yield sentence(score.label), _scores(variants, score)


def _panels(variants: Sequence[Variant], score: Score) -> dict[str, str]:
    """The columns of metrics.csv that are drawn, with titles; empty for models without epochs."""
    rows = [row for variant in variants for metrics in variant.metrics for row in metrics]
    if not rows:
        return {}
    if any(row["val_loss"] is None for row in rows):
        return {"train_loss": "Training loss", f"train_{score.key}": f"Training {score.label}"}
    return {
        "train_loss": "Training loss",
        "val_loss": "Validation loss",
        f"val_{score.key}": f"Validation {score.label}",
    }


def _draw(axes: Axes, variants: Sequence[Variant], score: Score, column: str, title: str) -> None:
    """A curve per variant."""
    longest = 0
    for i, variant in enumerate(variants):
        length = min(len(rows) for rows in variant.metrics)
        if not length:
            continue  # fitted in one pass
        longest = max(longest, length)
        values = np.array([[row[column] for row in rows[:length]] for rows in variant.metrics], float)
        epochs, mean = np.arange(1, length + 1), values.mean(0)
        color, marker = CYCLE[i % len(CYCLE)], "o" if length < 40 else None
        axes.plot(epochs, mean, color=color, marker=marker, markersize=3, label=variant.label)
        if len(values) > 1:
            deviation = values.std(0, ddof=1)
            axes.fill_between(
                epochs, mean - deviation, mean + deviation, color=color, alpha=0.15, linewidth=0
            )
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if column.endswith("loss") and drawn.min() > 0 and drawn.max() / drawn.min() > 8:
        log_scale(axes)
    axes.set_title(title)
    epoch_axis(axes, longest)
    if column.endswith(score.key):
        score_axis(axes, score)


Row = dict[str, float | None]
