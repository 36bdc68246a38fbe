"""Tables of numbers in CSV files, with a column of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnet.data.datasets.named.bundled import as_table
from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.data.files.csv import LABEL_NAMES, Cells, numbers, places, read_cells, sorted_labels
from convnet.errors import DataError
from convnet.registry import nearest

MOST_CLASSES = 1000


def open_table(
    path: Path,
    *,
    label: str | None = None,
    ignore: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> TensorDataset:
    """Read a CSV file with numbers in all columns except the one of the classes.

    The first line is a header if it has text where the second has a number, or no number at all. Without a
    header the columns are called 1, 2, ….

    Args:
        path: The file.
        label: The class column. Default: the column called label, class, target, species or diagnosis, else
            the last one.
        ignore: Columns that are not used.
        columns: The columns that a trained network takes, in its order.

    Returns:
        The dataset, with one channel per column.

    Raises:
        DataError: A column is missing, or a cell is empty or not a number; the message names file, line and
            column.
    """
    cells = read_cells(path)
    others = [c for c in cells.columns if c not in (columns or ()) and c not in ignore]
    if not (label or others):
        raise DataError(f"{path}: needs a class column and a numeric column")
    named = label or next((c for c in others if c.lower() in LABEL_NAMES), others[-1])
    for column in (named, *ignore):
        if column not in cells.columns:
            raise DataError(f"{path}: has no column '{column}'{nearest(column, cells.columns)}")
    wanted = columns or [c for c in others if c != named]
    if not wanted:
        raise DataError(f"{path}: has no column of numbers in addition to '{named}'")
    texts = _column(cells, named)
    classes = sorted_labels(texts) if columns else _classes(cells, named, texts)
    number = {name: place for place, name in enumerate(classes)}
    targets = np.array([number[text] for text in texts])
    table = numbers(cells, wanted)
    if columns is None:
        _require_resolution(cells, wanted, table)
    return as_table(path.name, table, targets, classes, tuple(wanted), places(cells))


def _require_resolution(cells: Cells, columns: Sequence[str], table: np.ndarray) -> None:
    """Refuse columns whose values differ too little for single precision."""
    spread, size = np.ptp(table, axis=0), np.abs(table).max(0)
    for column, apart, large in zip(columns, spread, size, strict=True):
        if 0 < apart < max(1e-5 * large, 1e-30):
            raise DataError(
                f"{cells.path}: the values of column '{column}' differ by only {apart:g} at a magnitude of "
                f"{large:g}, too little for single precision; subtract the mean, or ignore the column "
                f"(--set 'data.ignore=[{column}]')"
            )


def _column(cells: Cells, name: str) -> list[str]:
    place = cells.columns.index(name)
    for row, line in zip(cells.rows, cells.lines, strict=True):
        if not row[place]:
            raise DataError(
                f"{cells.path}: line {line}, column '{name}': the class is missing; fill it in or remove "
                "the line"
            )
    return [row[place] for row in cells.rows]


def _classes(cells: Cells, name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct values, if they can be classes."""
    found = set(texts)
    other = "; choose the class column with --set data.label=NAME"
    if len(found) < 2:
        raise DataError(f"{cells.path}: column '{name}' holds only one class, '{texts[0]}'{other}")
    if len(found) > min(MOST_CLASSES, max(2, len(texts) // 2)):
        raise DataError(
            f"{cells.path}: column '{name}' holds {len(found)} distinct values in {len(texts)} rows, too "
            f"many for classes{other} (columns: {', '.join(cells.columns[:20])})"
        )
    return sorted_labels(texts)
