"""The predicted classes of a sample, and whether it belongs to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convnet.tasks.task import Prediction


@dataclass(frozen=True)
class UnknownScore:
    """The score of a sample and the threshold below which it is unknown."""

    name: str
    value: float
    threshold: float

    @property
    def below(self) -> bool:
        """Whether the score is below the threshold."""
        return self.value < self.threshold

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g} < {self.threshold:.3g}"


@dataclass(frozen=True, repr=False)
class ClassPrediction(Prediction):
    """The classes of a sample and their probabilities, most probable first.

    Attributes:
        location: The path of the sample.
        classes: Class names.
        probabilities: Their calibrated probabilities.
        unknown_score: The score by which unknown samples are recognized; None without a threshold.
    """

    location: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    unknown_score: UnknownScore | None = None

    @property
    def unknown(self) -> bool:
        """Whether the sample probably belongs to none of the classes."""
        return self.unknown_score is not None and self.unknown_score.below

    def as_dict(self) -> dict[str, Any]:
        """The most probable class, whether the sample is unknown, and all probabilities."""
        found = self.unknown_score
        return {
            "image": self.location,
            "class": self.classes[0],
            "unknown": self.unknown,
            "unknown_score": found and found.value,
            "unknown_threshold": found and found.threshold,
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
        }

    def as_text(self, top: int) -> str:
        """The most probable classes, after the word unknown and the score if the sample is unknown."""
        classes = most_probable(self.classes, self.probabilities, top)
        if not self.unknown:
            return f"{self.location}  {classes}"
        return f"{self.location}  unknown ({self.unknown_score})  {classes}"


def most_probable(classes: Sequence[str], probabilities: Sequence[float], top: int) -> str:
    """The first classes and their probabilities as text."""
    best = list(zip(classes, probabilities, strict=True))[:top]
    return "  ".join(f"{name} {share:.1%}" for name, share in best)


def by_probability(
    probabilities: Tensor, classes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Classes and probabilities (K), most probable first."""
    best = probabilities.sort(descending=True)
    return tuple(classes[i] for i in best.indices.tolist()), tuple(best.values.tolist())
