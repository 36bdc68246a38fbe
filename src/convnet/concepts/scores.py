"""The losses of the scores of one sample, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convnet.concepts.concept import numbers, short, table
from convnet.errors import DataError
from convnet.training.losses import LOSSES

MOST_SCORES = 20


@dataclass(frozen=True)
class ScoreLoss:
    """The softmax cross-entropy and the multiclass hinge loss of the scores of one sample.

    Attributes:
        scores: One score per class.
        target: The index of the true class.
        classes: The names of the classes.
    """

    scores: tuple[float, ...]
    target: int
    classes: tuple[str, ...]

    @property
    def exponentials(self) -> tuple[float, ...]:
        """e^(s − max s): the largest score is subtracted first, so that no power overflows."""
        largest = max(self.scores)
        return tuple(math.exp(score - largest) for score in self.scores)

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The exponentials divided by their sum: softmax."""
        total = sum(self.exponentials)
        return tuple(value / total for value in self.exponentials)

    @property
    def margins(self) -> tuple[float, ...]:
        """max(0, s_j − s_y + 1) of every class; 0 for the true class."""
        own = self.scores[self.target]
        return tuple(
            0.0 if j == self.target else max(0.0, score - own + 1) for j, score in enumerate(self.scores)
        )

    @property
    def cross_entropy(self) -> float:
        """−log softmax(s)_y, the natural logarithm."""
        return self.loss("cross-entropy")

    @property
    def hinge(self) -> float:
        """Σ_j max(0, s_j − s_y + 1) over the other classes."""
        return self.loss("hinge")

    def loss(self, name: str) -> float:
        """A loss of the registry for these scores."""
        scores, targets = torch.tensor([self.scores], dtype=torch.float64), torch.tensor([self.target])
        return float(LOSSES.build(name)(scores, targets))

    def curve(self, name: str, own_scores: Sequence[float]) -> list[float]:
        """A loss as a function of the score of the true class, the other scores unchanged."""
        rows = torch.tensor([self.scores], dtype=torch.float64).repeat(len(own_scores), 1)
        rows[:, self.target] = torch.tensor(own_scores, dtype=torch.float64)
        loss, targets = LOSSES.build(name), torch.tensor([self.target])
        return [float(loss(row[None], targets)) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """The steps as plain values."""
        return {
            "classes": list(self.classes),
            "scores": list(self.scores),
            "target": self.classes[self.target],
            "exponentials": list(self.exponentials),
            "probabilities": list(self.probabilities),
            "margins": list(self.margins),
            "cross_entropy": self.cross_entropy,
            "hinge": self.hinge,
        }

    def __str__(self) -> str:
        rows = [("", "score", "e^(s − max)", "probability", "max(0, s − s_y + 1)")]
        columns = zip(
            self.classes, self.scores, self.exponentials, self.probabilities, self.margins, strict=True
        )
        for j, (name, score, exponential, probability, margin) in enumerate(columns):
            last = "true class" if j == self.target else short(margin)
            rows.append((name, short(score), f"{exponential:.4f}", f"{probability:.4f}", last))
        chosen = self.probabilities[self.target]
        return (
            f"{table(rows)}\n"
            f"cross-entropy  −log {chosen:.4f} = {self.cross_entropy:.4f}\n"
            f"hinge loss     {' + '.join(short(m) for j, m in enumerate(self.margins) if j != self.target)}"
            f" = {self.hinge:.4f}"
        )


def loss(scores: Sequence[float], target: int, classes: Sequence[str] | None = None) -> ScoreLoss:
    """Work out the softmax, the cross-entropy and the hinge loss of the scores of one sample.

        >>> from convnet.concepts import loss
        >>> found = loss([3.2, 5.1, -1.7], target=0)
        >>> round(found.cross_entropy, 2), round(found.hinge, 2)
        (2.04, 2.9)

    Args:
        scores: One score per class, 2 to 20.
        target: The index of the true class.
        classes: The names of the classes. Default: class 0, class 1, ….

    Returns:
        The steps and the losses.

    Raises:
        DataError: There are too few or too many scores, or the target or the names do not fit them.
    """
    values = numbers(scores, "scores", 1)
    if not 2 <= len(values) <= MOST_SCORES:
        raise DataError(f"scores: expected 2 to {MOST_SCORES} numbers, got {len(values)}")
    if not 0 <= target < len(values):
        raise DataError(f"target {target}: expected an index from 0 to {len(values) - 1}")
    names = tuple(" ".join(name.split()) for name in classes or (f"class {j}" for j in range(len(values))))
    if not all(names):
        raise DataError("classes: every class needs a name")
    if len(names) != len(values):
        raise DataError(f"classes: expected {len(values)} names, one per score, got {len(names)}")
    return ScoreLoss(tuple(values.tolist()), target, names)
