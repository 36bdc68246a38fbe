"""How well a classifier separates its own classes from other data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convnet.explain.ranks import separation
from convnet.outputs.calibration import SCORES
from convnet.tasks import ClassificationResult
from convnet.tasks.intervals import Interval, wilson


@dataclass(frozen=True)
class UnknownData:
    """The separation of known samples from other data.

    Attributes:
        data: The other data.
        samples: The number of its samples.
        auroc: The area under the ROC curve by name of the score; 1 if every known sample scores higher.
        score: The score that the run uses; None if it has no threshold.
        rejected: The fraction of the other samples that are called unknown; None without a threshold.
        rejected_interval: Its 95% interval.
        accepted: The fraction of the known samples that are not called unknown; None without a threshold.
        unreadable: The number of files that could not be read.
    """

    data: str
    samples: int
    auroc: dict[str, float]
    score: str | None
    rejected: float | None
    rejected_interval: Interval | None
    accepted: float | None
    unreadable: int

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "data": self.data,
            "samples": self.samples,
            "auroc": self.auroc[self.score or "max-probability"],
            "auroc_by_score": self.auroc,
            "score": self.score,
            "rejected": self.rejected,
            "rejected_interval": self.rejected_interval,
            "accepted": self.accepted,
            "unreadable": self.unreadable,
        }


def measure_unknown(
    data: str, known: ClassificationResult, others: Float[Tensor, "M K"], unreadable: int
) -> UnknownData:
    """Measure how well known samples are separated from others.

    Args:
        data: The name of the other data.
        known: The evaluation of samples of the network's own classes.
        others: The logits of other samples.
        unreadable: The number of files of the other data that could not be read.
    """
    calibration = known.calibration
    logits = others / calibration.temperature
    known_logits, other_logits = known.calibrated.numpy(), logits.numpy()
    areas = {
        str(name): separation(torch.from_numpy(score(known_logits)), torch.from_numpy(score(other_logits)))
        for name, score in SCORES.items()
    }
    rule = calibration.unknown
    if rule is None:
        return UnknownData(data, len(logits), areas, None, None, None, None, unreadable)
    rejected = int(rule.unknown(other_logits).sum())
    return UnknownData(
        data,
        len(logits),
        areas,
        rule.score,
        rejected / len(logits),
        wilson(rejected, len(logits)),
        float((~rule.unknown(known_logits)).mean()),
        unreadable,
    )
