"""Labels that out-of-fold probabilities contradict: confident learning (Northcutt et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Issue:
    """A label that is probably wrong.

    Attributes:
        index: The position of the sample.
        other: The more probable class.
        probability: Its probability.
        own: The probability of the given label.
    """

    index: int
    other: int
    probability: float
    own: float

    @property
    def doubt(self) -> float:
        """How much more probable the other class is, as a number 0…1; 0.5 if both are equally probable."""
        return (1 + self.probability - self.own) / 2


def label_issues(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Issue]:
    """The samples off the diagonal of the confident joint, most doubtful first.

    A sample counts for another class if the probability of that class is at least the mean probability that
    the members of that class have, and higher than that of the given label.

    Args:
        probabilities: N×K, of a model that was not trained on the sample.
        labels: Given class indices N, each of which occurs.
    """
    n, k = probabilities.shape
    own = probabilities[np.arange(n), labels]
    counts = np.bincount(labels, minlength=k)
    usual = np.bincount(labels, own, minlength=k) / np.maximum(counts, 1)
    usual[counts == 0] = np.inf
    others = np.where((np.arange(k) == labels[:, None]) | (probabilities < usual), -1.0, probabilities)
    best = others.argmax(1)
    surest = others.max(1)
    confident = surest > own
    order = np.argsort(own - surest, kind="stable")
    return [Issue(i, int(best[i]), float(surest[i]), float(own[i])) for i in order.tolist() if confident[i]]
