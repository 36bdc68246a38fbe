"""`Variant`: the runs of one variant of a comparison."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
