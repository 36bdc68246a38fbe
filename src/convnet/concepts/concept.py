"""The contract of worked examples, and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convnet.errors import DataError

MOST_NUMBERS = 4096
"""The largest number of values of a worked example."""

LARGEST = 1e9
"""The largest absolute value of a number."""
MOST_PRINTED = 16
"""The largest number of rows and columns that are printed."""


class Concept(Protocol):
    """A worked example: its numbers. `str()` gives it as text, `convnet.draw` as a picture."""

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain values, for JSON."""
        ...


def numbers(values: ArrayLike, what: str, *dimensions: int, most: int = MOST_NUMBERS) -> NDArray[np.float64]:
    """Values as an array of one of the given numbers of dimensions, at most `most` of them.

    Raises:
        DataError: They are empty, ragged, not finite numbers, too many, or of another dimension.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise DataError(
            f"{what}: expected numbers in rows of equal length, such as [[1, 2], [3, 4]]"
        ) from None
    if array.ndim not in dimensions or not array.size:
        allowed = " or ".join(map(str, dimensions))
        raise DataError(f"{what}: expected numbers in {allowed} dimensions, got shape {array.shape}")
    if array.size > most:
        raise DataError(f"{what}: {array.size:,} values; a worked example has at most {most:,}")
    if not (np.abs(array) <= LARGEST).all():
        raise DataError(f"{what}: every value must be a number from −{LARGEST:g} to {LARGEST:g}")
    return array


def short(value: float) -> str:
    """A number with at most five significant digits, and without trailing zeros."""
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}"


def matrix_text(values: NDArray[np.float64]) -> str:
    """Rows of aligned numbers, at most 16 of 16; the channels of a volume one below the other."""
    if values.ndim == 3:
        return "\n\n".join(matrix_text(channel) for channel in values)
    plane = np.atleast_2d(values)
    rows = [[short(value) for value in row] for row in plane[:MOST_PRINTED, :MOST_PRINTED].tolist()]
    width = max(len(text) for row in rows for text in row)
    end = "  …" if plane.shape[1] > MOST_PRINTED else ""
    lines = ["  ".join(f"{text:>{width}}" for text in row) + end for row in rows]
    if max(plane.shape) > MOST_PRINTED:
        lines.append(f"({plane.shape[0]}×{plane.shape[1]} values)")
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(lines)
