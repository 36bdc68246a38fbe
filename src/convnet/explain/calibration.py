"""Calibration of classifiers: temperature scaling, calibration error, Brier score, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from convnet.explain.unknown import fit_unknown
from convnet.outputs import UNCALIBRATED, Calibration

BINS = 15
"""Bins of equal width, as in Guo et al. 2017."""
COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures."""


def calibrate(
    logits: Float[Tensor, "N K"], targets: Int[Tensor, N], others: Float[Tensor, "M K"] | None = None
) -> Calibration:
    """Fit temperature and threshold to validation samples.

    Args:
        logits: Logits of samples that the network was not trained on.
        targets: Their class indices.
        others: Logits of samples of no class, by which the score of unknown samples is chosen.

    Returns:
        The calibration; without effect if there are no samples or a logit is infinite.
    """
    if not len(logits) or not bool(logits.isfinite().all()):
        return UNCALIBRATED
    temperature = fit_temperature(logits, targets)
    scaled = None if others is None or not bool(others.isfinite().all()) else others / temperature
    return Calibration(temperature, fit_unknown(logits / temperature, scaled), len(logits))


def fit_temperature(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> float:
    """The temperature T for which softmax(logits / T) has the lowest cross-entropy (Guo et al. 2017).

    As in Platt scaling, a target has the probability (N + 1)/(N + 2) instead of 1, so that the temperature of
    a network without errors on these samples is not zero.

    Args:
        logits: Finite logits of N samples that the network was not trained on.
        targets: Their class indices.

    Returns:
        A number from 0.05 to 20; more than 1 if the network is overconfident.
    """
    from scipy.optimize import minimize_scalar  # imported here because prediction does not need it

    values = logits.double()
    n, k = values.shape
    shared = 1 / ((n + 2) * k)
    own = values.gather(1, targets[:, None])[:, 0]
    expected = (1 - k * shared) * own + shared * values.sum(1)

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        scaled = values / temperature
        return float((scaled.logsumexp(1) - expected / temperature).mean())

    bounds = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Reliability:
    """Accuracy and mean confidence of the samples in each bin of confidence.

    Attributes:
        edges: The limits of the bins, B + 1.
        counts: The number of samples per bin, B.
        accuracy: The fraction of correct samples per bin; NaN where a bin is empty.
        confidence: The mean confidence per bin; NaN where a bin is empty.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between accuracy and confidence, 0…1."""
        there = self.counts > 0
        gaps = np.abs(self.accuracy[there] - self.confidence[there])
        return float((gaps * self.counts[there]).sum() / max(1, self.counts.sum()))


def reliability(probabilities: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Reliability:
    """The reliability of the most probable classes, in 15 bins of equal width.

    Args:
        probabilities: Class probabilities.
        targets: Class indices.
    """
    confidence, predicted = probabilities.max(1)
    right = (predicted == targets).double().numpy()
    sure = confidence.double().numpy()
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(place, right, minlength=BINS) / counts
        mean = np.bincount(place, sure, minlength=BINS) / counts
    return Reliability(edges, counts, accuracy, mean)


def brier_score(probabilities: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> float:
    """The mean squared difference between probabilities and one-hot targets, summed over classes, 0…2."""
    right = torch.nn.functional.one_hot(targets, probabilities.shape[1])
    return float((probabilities.double() - right).square().sum(1).mean())
