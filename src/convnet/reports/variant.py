"""One column of a comparison, as data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, float | None]


@dataclass(frozen=True)
class Variant:
    """One recipe of a comparison and its runs, one per seed: results, epoch rows, the flat recipe."""

    label: str
    results: Sequence[dict[str, Any]]
    metrics: Sequence[Sequence[Row]]
    recipe: dict[str, Any]

    def spread(self, *path: str) -> tuple[float, float] | None:
        """Mean and standard deviation over seeds of a figure such as ("test", "accuracy"); None if absent."""
        values = []
        for result in self.results:
            value: Any = result
            for key in path:
                value = value[key] if value is not None else None
            if value is None:
                return None
            values.append(float(value))
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
