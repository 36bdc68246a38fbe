"""The predicted classes or labels of a sample, and whether it belongs to one of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.outputs.calibration import sigmoid, softmax
from convnet.outputs.kind import Labels, OutputKind, Prediction

HALF = 0.5
"""The threshold of a label without one of its own."""


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
    probabilities: NDArray[np.floating], classes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Classes and probabilities (K), most probable first."""
    order = (-probabilities).argsort(kind="stable")
    return tuple(classes[i] for i in order.tolist()), tuple(probabilities[order].tolist())


class ClassOutputs(OutputKind):
    """Logits K of exclusive classes."""

    name = "classification"
    exclusive = True

    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> ClassPrediction:
        """All classes with their calibrated probabilities, and whether the sample is unknown."""
        logits = outputs[None] / np.float32(labels.calibration.temperature)
        rule = labels.calibration.unknown
        score = None
        if rule is not None:
            score = UnknownScore(rule.score, float(rule.scores(logits)[0]), rule.threshold)
        return ClassPrediction(location, *by_probability(softmax(logits)[0], labels.classes), score)


@dataclass(frozen=True, repr=False)
class LabelsPrediction(Prediction):
    """The predicted labels of a sample, and all probabilities, most probable first."""

    location: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The labels and all probabilities."""
        return {
            "image": self.location,
            "labels": list(self.labels),
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
        }

    def as_text(self, top: int) -> str:
        """The predicted labels, and the most probable ones with their probabilities."""
        best = most_probable(self.classes, self.probabilities, top)
        return f"{self.location}  [{', '.join(self.labels)}]  {best}"


class LabelOutputs(OutputKind):
    """Logits K of independent labels."""

    name = "multi-label"

    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> LabelsPrediction:
        """The labels above their thresholds, and all probabilities."""
        names, values = by_probability(sigmoid(outputs), labels.classes)
        apply = (
            name for name, p in zip(names, values, strict=True) if p >= labels.thresholds.get(name, HALF)
        )
        return LabelsPrediction(location, names, values, tuple(apply))
