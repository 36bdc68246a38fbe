"""Predictions of classes or labels as a table: CSV or Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnet.atomic import write_atomically
from convnet.errors import RecipeError
from convnet.outputs import Prediction

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet")


def require_table(path: Path) -> None:
    """Check that a path names a table.

    Raises:
        RecipeError: It has another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"--out {path}: classes are written as a table; pass a .csv or .parquet file")


def write_table(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write a row per prediction: file, class (or labels), unknown, confidence, each class's probability.

    Args:
        path: A .csv or .parquet file.
        predictions: The predictions.

    Raises:
        RunError: The file cannot be written.
    """
    import pyarrow.csv  # imported here because it takes a tenth of a second
    import pyarrow.parquet

    table, buffer = _table([prediction.as_dict() for prediction in predictions]), io.BytesIO()
    if path.suffix.lower() == ".csv":
        pyarrow.csv.write_csv(table, buffer)
    else:
        pyarrow.parquet.write_table(table, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"file": [row["image"] for row in rows]}
    if "class" in rows[0]:
        columns["class"] = [row["class"] for row in rows]
        columns["unknown"] = [row["unknown"] for row in rows]
    else:
        columns["labels"] = ["|".join(row["labels"]) for row in rows]
    columns["confidence"] = [max(row["probabilities"].values()) for row in rows]
    for name in sorted(rows[0]["probabilities"]):
        columns[f"p({name})"] = [row["probabilities"][name] for row in rows]
    return pa.table(columns)
