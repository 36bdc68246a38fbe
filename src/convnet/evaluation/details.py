"""What a page of an evaluation shows besides its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convnet.evaluation.embedding_map import EmbeddingMap
from convnet.evaluation.paired import PairedComparison
from convnet.evaluation.robustness import CorruptedAccuracy
from convnet.evaluation.slices import Slice
from convnet.evaluation.unknown_data import UnknownData


@dataclass(frozen=True)
class EvaluationDetails:
    """The parts of a classifier's evaluation that take time or need further data.

    Attributes:
        robustness: The accuracy under corruptions; empty for other data than images.
        slices: The accuracy by size, shape, brightness and group.
        embeddings: The embedding map; None for networks without an embedding.
        unknown: The separation from other data, if asked for.
        against: The comparison with another run, if asked for.
    """

    robustness: list[CorruptedAccuracy] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    embeddings: EmbeddingMap | None = None
    unknown: UnknownData | None = None
    against: PairedComparison | None = None

    def as_dict(self) -> dict[str, Any]:
        """What was measured, as plain values for JSON."""
        return {
            **({"robustness": [row.as_dict() for row in self.robustness]} if self.robustness else {}),
            **({"slices": [row.as_dict() for row in self.slices]} if self.slices else {}),
            **({"unknown_data": self.unknown.as_dict()} if self.unknown else {}),
            **({"against": self.against.as_dict()} if self.against else {}),
        }


NO_DETAILS = EvaluationDetails()
