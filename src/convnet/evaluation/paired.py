"""The comparison of two classifiers on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convnet.tasks import ClassificationResult


@dataclass(frozen=True)
class Change:
    """A sample that only one of two classifiers classifies correctly.

    Attributes:
        index: The index of the sample.
        path: Its path.
        label: Its class.
        first: The class that the first one predicts.
        second: The class that the second one predicts.
    """

    index: int
    path: str
    label: str
    first: str
    second: str


@dataclass(frozen=True)
class PairedComparison:
    """Two classifiers on the same samples.

    Attributes:
        other: The name of the second one.
        samples: The number of samples.
        accuracies: The accuracies of the first and the second one.
        p_value: The p value of McNemar's exact test: how probable a difference this large is if both are
            equally good.
        changes: The samples that only one of them classifies correctly.
        trained: The number of samples that were left out because one of them was trained on them.
    """

    other: str
    samples: int
    accuracies: tuple[float, float]
    p_value: float
    changes: list[Change]
    trained: int = 0

    @property
    def gained(self) -> list[Change]:
        """The samples that only the first one classifies correctly."""
        return [change for change in self.changes if change.first == change.label]

    @property
    def lost(self) -> list[Change]:
        """The samples that only the second one classifies correctly."""
        return [change for change in self.changes if change.second == change.label]

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "run": self.other,
            "samples": self.samples,
            "trained_on": self.trained,
            "accuracy": self.accuracies[1],
            "difference": self.accuracies[0] - self.accuracies[1],
            "only_this_run": len(self.gained),
            "only_other_run": len(self.lost),
            "mcnemar_p": self.p_value,
            "changes": [
                {"path": c.path, "class": c.label, "this_run": c.first, "other_run": c.second}
                for c in self.changes
            ],
        }


def compare_paired(
    other: str, first: ClassificationResult, second: Tensor, classes: Sequence[str], paths: Sequence[str]
) -> PairedComparison:
    """Compare two classifiers on the same samples.

    Args:
        other: The name of the second one.
        first: The evaluation of the first one.
        second: The class indices that the second one predicts, N.
        classes: The class names.
        paths: The paths of the samples.
    """
    from scipy.stats import binomtest  # imported here because it takes a fifth of a second

    right, also = first.predicted == first.targets, second == first.targets
    changes = [
        Change(
            int(first.indices[i]),
            paths[i],
            classes[int(first.targets[i])],
            classes[int(first.predicted[i])],
            classes[int(second[i])],
        )
        for i in (right != also).nonzero()[:, 0].tolist()
    ]
    wins = int((right & ~also).sum())
    p_value = float(binomtest(wins, len(changes)).pvalue) if changes else 1.0
    accuracies = (float(right.double().mean()), float(also.double().mean()))
    return PairedComparison(other, len(first), accuracies, p_value, changes)
