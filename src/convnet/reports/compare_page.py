"""The page and the figure of a comparison: curves, a table of metrics, the differing fields."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convnet.atomic import write_atomically
from convnet.reports.figures import sentence
from convnet.reports.html import render
from convnet.reports.style import CYCLE, TEST, VAL, figure, log_scale, to_png
from convnet.tasks import Score

SPLITS = ("val", "test")
BALANCED = 0.01
"""The difference of accuracy and balanced accuracy from which both are shown."""


def write_compare_report(folder: Path, title: str, variants: Sequence[Variant], score: Score) -> Path:
    """Write `compare.html` and `compare.png` into `folder` and return the path of the page."""
    picture = to_png(compare_figure(variants, score))
    write_atomically(folder / "compare.png", picture)
    page = render(
        "compare.html",
        title=title,
        score=score,
        variants=variants,
        picture=picture,
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
    if not any(rows for v in variants for rows in v.metrics):
        return _scores(variants, score)
    panels = [
        ("train_loss", "Training loss"),
        ("val_loss", "Validation loss"),
        (f"val_{score.key}", f"Validation {score.label}"),
    ]
    has_validation = all(row["val_loss"] is not None for v in variants for rows in v.metrics for row in rows)
    panels = (
        panels
        if has_validation
        else [("train_loss", "Training loss"), (f"train_{score.key}", f"Training {score.label}")]
    )
    with figure(4.3 * len(panels), 3.9) as picture:
        all_axes = picture.subplots(1, len(panels))
        for axes, (column, title) in zip(all_axes, panels, strict=True):
            for i, variant in enumerate(variants):
                length = min(len(rows) for rows in variant.metrics)
                if not length:
                    continue  # fitted in one pass
                values = np.array([[row[column] for row in rows[:length]] for rows in variant.metrics], float)
                epochs, mean = np.arange(1, length + 1), values.mean(0)
                color = CYCLE[i % len(CYCLE)]
                axes.plot(
                    epochs,
                    mean,
                    color=color,
                    marker="o" if length < 40 else None,
                    markersize=3,
                    label=variant.label,
                )
                if len(values) > 1:
                    deviation = values.std(0, ddof=1)
                    axes.fill_between(
                        epochs, mean - deviation, mean + deviation, color=color, alpha=0.15, linewidth=0
                    )
            drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
            if column.endswith("loss") and drawn.min() > 0 and drawn.max() / drawn.min() > 8:
                log_scale(axes)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if column.endswith(score.key) and not score.decibels:
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        all_axes[0].legend(loc="best")
    return picture


Row = dict[str, float | None]


@dataclass(frozen=True)
class Variant:
    """A variant of a comparison.

    Attributes:
        label: Its name.
        results: The result of each run, one per seed.
        metrics: The rows of metrics.csv of each run.
        recipe: The recipe with dotted keys.
    """

    label: str
    results: Sequence[dict[str, Any]]
    metrics: Sequence[Sequence[Row]]
    recipe: dict[str, Any]

    def spread(self, *path: str) -> tuple[float, float | None] | None:
        """Mean and standard deviation over seeds of a result such as ("test", "accuracy").

        None if it is absent; the deviation is None for a single seed.
        """
        values = []
        for result in self.results:
            value: Any = result
            for key in path:
                value = value.get(key) if value is not None else None
            if value is None:
                return None
            values.append(float(value))
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None

    def rank(self, score: str) -> float:
        """The mean validation metric, or test metric without validation data."""
        spread = self.spread("val", score) or self.spread("test", score)
        return spread[0] if spread is not None else -math.inf

    def samples(self) -> dict[str, int]:
        """The number of held-out samples, by split."""
        splits = {name: self.results[0][name] for name in ("val", "test")}
        return {name: split["samples"] for name, split in splits.items() if split and "samples" in split}
