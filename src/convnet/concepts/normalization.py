"""Batch norm and local response norm on a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convnet.concepts.concept import matrix_text, numbers, short, table
from convnet.errors import DataError
from convnet.layers.reference import batch_norm, local_response_norm

NormKind = Literal["batch", "response"]
EPSILON = 1e-5


@dataclass(frozen=True)
class Normalization:
    """Values N×C (samples × channels) before and after a normalization.

    Attributes:
        kind: "batch": every channel over the samples; "response": every value by its neighboring channels.
        values: The input.
        output: The normalized values.
    """

    kind: NormKind
    values: NDArray[Any]
    output: NDArray[Any]

    @property
    def means(self) -> NDArray[Any]:
        """The mean μ of every channel."""
        found: NDArray[Any] = self.values.mean(0)
        return found

    @property
    def deviations(self) -> NDArray[Any]:
        """The standard deviation σ of every channel, biased as in batch norm."""
        found: NDArray[Any] = self.values.std(0)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The numbers as nested lists."""
        return {
            "kind": self.kind,
            "input": self.values.tolist(),
            "means": self.means.tolist(),
            "deviations": self.deviations.tolist(),
            "output": self.output.tolist(),
        }

    def __str__(self) -> str:
        text = f"input (samples × channels)\n{matrix_text(self.values)}\n\noutput\n{matrix_text(self.output)}"
        if self.kind == "response":
            return text
        rows = [("", *(f"channel {c}" for c in range(len(self.means))))]
        rows.append(("mean", *map(short, self.means.tolist())))
        rows.append(("standard deviation", *map(short, self.deviations.tolist())))
        return f"{text}\n\n{table(rows)}"


def normalization(values: ArrayLike, kind: NormKind = "batch") -> Normalization:
    """Normalize values as batch norm or local response norm does.

        >>> from convnet.concepts import normalization
        >>> normalization([[1, 10], [3, 30]]).output.round(3).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]

    Args:
        values: Samples × channels.
        kind: "batch": (x − μ) / sqrt(σ² + 0.00001) per channel. "response": x / (2 + 0.0001 Σ x²)^0.75 over
            five neighboring channels (Krizhevsky et al. 2012).

    Returns:
        The values before and after.

    Raises:
        DataError: The values are no table of numbers, or batch norm gets a single sample.
    """
    array = numbers(values, "values", 2)
    if kind == "response":
        made = np.stack([local_response_norm(sample[:, None, None])[:, 0, 0] for sample in array])
        return Normalization(kind, array, made)
    if len(array) < 2:
        raise DataError("batch norm needs at least two samples, one per row")
    ones, zeros = np.ones(array.shape[1]), np.zeros(array.shape[1])
    made = batch_norm(array[:, :, None, None], ones, zeros, EPSILON)[:, :, 0, 0]
    return Normalization(kind, array, made)
