"""Calibrated class probabilities, and the rule by which samples are called unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

ScoreName = Literal["negative-energy", "max-probability"]
Floats = NDArray[np.floating]


def softmax(logits: Float[Floats, "N K *space"]) -> Float[Floats, "N K *space"]:
    """exp(logits) / Σ exp(logits) over the classes."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(−logits)), without overflow."""
    powers = np.exp(-np.abs(logits))
    shares: Floats = np.where(logits >= 0, 1 / (1 + powers), powers / (1 + powers))
    return shares


def negative_energy(logits: Float[Floats, "N K"]) -> Float[Floats, " N"]:
    """log Σ exp(logits), which is low for unknown inputs (Liu et al. 2020)."""
    values = logits.astype(np.float64)
    top = values.max(1)
    energy: Floats = top + np.log(np.exp(values - top[:, None]).sum(1))
    return energy


def max_probability(logits: Float[Floats, "N K"]) -> Float[Floats, " N"]:
    """The probability of the most probable class (Hendrycks and Gimpel 2017)."""
    highest: Floats = softmax(logits.astype(np.float64)).max(1)
    return highest


SCORES: dict[ScoreName, Callable[[Floats], Floats]] = {
    "max-probability": max_probability,
    "negative-energy": negative_energy,
}


@dataclass(frozen=True)
class UnknownRule:
    """When an input is called unknown: its score is below a threshold.

    Attributes:
        score: The name of the score.
        threshold: The smallest score of a known input.
        coverage: The fraction of validation samples with at least that score.
        auroc: How well each score separates validation samples from scrambled ones; None if not measured.
    """

    score: ScoreName
    threshold: float
    coverage: float
    auroc: Mapping[str, float] | None = None

    def scores(self, logits: Float[Floats, "N K"]) -> Float[Floats, " N"]:
        """The score of each sample, from calibrated logits."""
        return SCORES[self.score](logits)

    def unknown(self, logits: Float[Floats, "N K"]) -> Bool[NDArray[np.bool_], " N"]:
        """Which samples are unknown."""
        return self.scores(logits) < self.threshold


@dataclass(frozen=True)
class Calibration:
    """What a classifier's validation split says about its probabilities.

    Attributes:
        temperature: Logits are divided by it before the softmax.
        unknown: When a sample is called unknown; None if there were too few validation samples.
        samples: The number of validation samples.
    """

    temperature: float = 1.0
    unknown: UnknownRule | None = None
    samples: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The calibration as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The calibration of `as_dict`."""
        rule = content.get("unknown")
        known = None if rule is None else UnknownRule(**rule)
        return cls(content["temperature"], known, content["samples"])


UNCALIBRATED = Calibration()
