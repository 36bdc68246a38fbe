"""`Variant`: the runs of one variant of a comparison."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convnet.evaluation.diagnosis import Finding
from convnet.tasks.intervals import QUANTILE

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

    def ranked_by(self) -> str:
        """The split that variants are ranked by."""
        return "val" if self.results[0]["val"] else "test"

    def samples(self) -> dict[str, int]:
        """The number of held-out samples, by split."""
        splits = {name: self.results[0][name] for name in ("val", "test")}
        return {name: split["samples"] for name, split in splits.items() if split and "samples" in split}


def diagnose_lead(variants: Sequence[Variant], score: str) -> list[Finding]:
    """Whether the best variant may lead by chance, because the samples are few.

    Args:
        variants: The variants of classifiers, best first.
        score: The key of the main metric; only an accuracy is diagnosed.
    """
    if score != "accuracy" or len(variants) < 2:
        return []
    split = variants[0].ranked_by()
    best, next_best = (variant.spread(split, score) for variant in variants[:2])
    count = variants[0].samples().get(split, 0)
    if best is None or next_best is None or not count or best[0] == next_best[0]:
        return []
    lead = best[0] - next_best[0]
    error = QUANTILE * math.sqrt(sum(share * (1 - share) for share in (best[0], next_best[0])) / count)
    if lead > error:
        return []
    noun = "validation" if split == "val" else "test"
    return [
        Finding(
            "validation_set_too_small",
            f"{variants[0].label} leads {variants[1].label} by {100 * lead:.2f} points; on {count:,} {noun} "
            f"samples up to {100 * error:.2f} points may be chance (95%). Take more samples or --folds, or "
            "test the runs on the same images: convnet evaluate RUN --against RUN.",
            lead,
        )
    ]
