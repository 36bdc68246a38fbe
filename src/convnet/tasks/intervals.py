"""95% confidence intervals of the figures of a classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

LEVEL = 0.95
QUANTILE = 1.959963984540054
"""That of the normal distribution at 97.5%."""
RESAMPLES = 1000
LARGEST_DRAW = 10_000_000
"""The largest number of counts that are drawn at once."""


def wilson(successes: int, trials: int) -> Interval | None:
    """The Wilson interval of a proportion; None without trials.

    The formula is written down because importing scipy.stats takes longer than evaluating a network.
    """
    if not trials:
        return None
    share, z2 = successes / trials, QUANTILE**2
    center = share + z2 / (2 * trials)
    spread = QUANTILE * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    low, high = ((center + sign * spread) / (1 + z2 / trials) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Counts:
    """Counts of classes: R resamples × K classes each."""

    right: NDArray[np.int64]
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]


def bootstrap_confusion(
    confusion: NDArray[np.int64], figure: Callable[[Counts], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Bootstrap intervals of figures that depend on the confusion matrix alone.

    Resampling N samples with replacement draws the matrix from a multinomial distribution.

    Args:
        confusion: K×K counts.
        figure: Maps counts to figures R×F.

    Returns:
        The 2.5th and 97.5th percentile of each figure, 2×F; NaN where a figure is never defined.
    """
    classes, total = len(confusion), int(confusion.sum())
    rows, columns = confusion.nonzero()
    shares = confusion[rows, columns] / max(1, total)
    drawn = np.random.default_rng(0).multinomial(total, shares / max(shares.sum(), 1e-12), RESAMPLES)
    sums = []
    for places in (np.where(rows == columns, rows, classes), rows, columns):
        found = np.zeros((classes + 1, RESAMPLES), np.int64)
        np.add.at(found, places, drawn.T)
        sums.append(found[:classes].T)
    return _percentiles(figure(Counts(*sums)))


def bootstrap_sums(
    values: NDArray[np.float64], figure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Bootstrap intervals of figures that depend on sums over samples.

    Args:
        values: What is summed, N×V.
        figure: Maps sums R×V of R resamples of N samples to figures R×F.

    Returns:
        The 2.5th and 97.5th percentile of each figure, 2×F; NaN where a figure is never defined.
    """
    count, generator = len(values), np.random.default_rng(0)
    if not count:
        return np.full((2, figure(np.zeros((1, values.shape[1]))).shape[1]), np.nan)
    sums = [
        generator.multinomial(count, np.full(count, 1 / count), size) @ values
        for size in _chunks(RESAMPLES, max(1, LARGEST_DRAW // count))
    ]
    return _percentiles(figure(np.concatenate(sums)))


def _chunks(total: int, size: int) -> list[int]:
    return [size] * (total // size) + ([total % size] if total % size else [])


def as_intervals(names: Sequence[str], ends: NDArray[np.float64]) -> dict[str, Interval]:
    """Intervals 2×F by name, without those of figures that are never defined."""
    pairs = zip(names, ends.T.tolist(), strict=True)
    return {name: (low, high) for name, (low, high) in pairs if math.isfinite(low)}


def _percentiles(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """2×F, without the resamples in which a figure is not defined."""
    ends = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    found = np.full((2, figures.shape[1]), np.nan)
    for column in range(figures.shape[1]):
        defined = figures[:, column][~np.isnan(figures[:, column])]
        if len(defined):
            found[:, column] = np.percentile(defined, ends)
    return found


def balanced_accuracies(counts: Counts) -> NDArray[np.float64]:
    """The mean recall of the classes that have samples, R×1."""
    there = counts.support > 0
    recall = counts.right / np.maximum(counts.support, 1)
    means: NDArray[np.float64] = recall.sum(1, where=there) / np.maximum(there.sum(1), 1)
    return means[:, None]


def f1_scores(counts: Counts) -> NDArray[np.float64]:
    """The F1 of every class, R×K; NaN for classes without samples."""
    f1: NDArray[np.float64] = 2 * counts.right / np.maximum(counts.support + counts.predicted, 1)
    return np.where(counts.support == 0, np.nan, f1)
