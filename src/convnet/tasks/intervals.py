"""95% confidence intervals of the figures of a classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

LEVEL = 0.95
RESAMPLES = 1000


def wilson(successes: int, trials: int) -> Interval | None:
    """The Wilson interval of a proportion; None without trials."""
    from scipy.stats import binomtest  # imported here because it takes a fifth of a second

    if not trials:
        return None
    found = binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def bootstrap_confusion(
    confusion: NDArray[np.int64], figure: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Bootstrap intervals of figures that depend on the confusion matrix alone.

    Resampling N samples with replacement draws the matrix from a multinomial distribution.

    Args:
        confusion: K×K counts.
        figure: Maps matrices R×K×K to figures R×F.

    Returns:
        The 2.5th and 97.5th percentile of each figure, 2×F; NaN where a figure is never defined.
    """
    total = int(confusion.sum())
    there = confusion.reshape(-1).nonzero()[0]
    drawn = np.zeros((RESAMPLES, confusion.size), np.int64)
    shares = confusion.reshape(-1)[there] / total
    drawn[:, there] = np.random.default_rng(0).multinomial(total, shares / shares.sum(), RESAMPLES)
    figures = figure(drawn.reshape(RESAMPLES, *confusion.shape))
    return _percentiles(figures)


def bootstrap_mean(values: NDArray[np.float64]) -> Interval:
    """The bootstrap interval of a mean of N values."""
    generator = np.random.default_rng(0)
    n = len(values)
    means = np.array([values[generator.integers(0, n, n)].mean() for _ in range(RESAMPLES)])
    low, high = _percentiles(means[:, None])[:, 0]
    return float(low), float(high)


def _percentiles(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """2×F, without the resamples in which a figure is not defined."""
    ends = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    found = np.full((2, figures.shape[1]), np.nan)
    for column in range(figures.shape[1]):
        defined = figures[:, column][~np.isnan(figures[:, column])]
        if len(defined):
            found[:, column] = np.percentile(defined, ends)
    return found


def balanced_accuracies(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean recall of the classes that have samples, R×K×K → R×1."""
    support = matrices.sum(2)
    with np.errstate(invalid="ignore"):
        recall = np.diagonal(matrices, axis1=1, axis2=2) / support
    means: NDArray[np.float64] = np.nanmean(recall, 1, keepdims=True)
    return means


def f1_scores(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """The F1 of every class, R×K×K → R×K; NaN for classes without samples."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    support = matrices.sum(2)
    with np.errstate(invalid="ignore"):
        f1: NDArray[np.float64] = 2 * right / (support + matrices.sum(1))
    f1[support == 0] = np.nan
    return f1
