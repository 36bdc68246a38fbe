"""Tables of numbers in CSV files, with a column of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convnet.data.datasets.named.bundled import as_table
from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.data.files.columns import find_splits, not_a_split, used_rows
from convnet.data.files.csv import (
    LABEL_NAMES,
    Cells,
    numbers,
    numeric_column,
    places,
    read_cells,
    sorted_labels,
    with_earlier_names,
)
from convnet.errors import DataError
from convnet.registry import nearest

MOST_CLASSES = 1000
ID_NAMES = (
    "", "id", "idx", "index", "uid", "no", "nr", "#", "row", "number", "unnamed: 0", "image", "img", "file",
    "filename", "sample", "case", "record", "patient", "subject",
)  # fmt: skip
"""Names of columns that number the rows of a table."""
ID_ENDING = re.compile(r"([_\s.-](id|no|nr|number|index)|(?<=[a-z0-9])(Id|ID|No|Nr|Number|Index))$")
"""The end of such names: patient_id, PassengerId, SampleNo."""


COUNTED = 10
"""The number of rows from which a column that counts them is no accident."""


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
        label: The class column. Default: the first of label, class, target, species and diagnosis that there
            is, else the last one. Columns that number the rows are left out.
        ignore: Columns that are not used.
        columns: The columns that a trained network takes, in its order.

    Returns:
        The dataset, with one channel per column.

    Raises:
        DataError: A column is missing, or a cell is empty or not a number; the message names file, line and
            column.
    """
    cells = read_cells(path)
    if columns:
        cells = with_earlier_names(cells, columns)
    others = [c for c in cells.columns if c not in (columns or ()) and c not in ignore]
    splits, used, unused = find_splits(cells, [c for c in others if c != label])
    unused = [c for c in unused if c.lower() == "fold" or numeric_column(cells, c) is None]
    others = [c for c in others if c not in used and c not in unused]
    if not (label or others):
        raise DataError(f"{path}: needs a class column and a numeric column")
    by_name = {column.lower(): column for column in reversed(others)}
    named = label or next((by_name[name] for name in LABEL_NAMES if name in by_name), others[-1])
    for column in (named, *ignore):
        if column not in cells.columns:
            raise DataError(f"{path}: has no column '{column}'{nearest(column, cells.columns)}")
    measured = [c for c in others if c != named]
    ids = [] if columns else [c for c in measured if _is_id(cells, c)]
    wanted = columns or [c for c in measured if c not in ids]
    if not wanted:
        also = f"; {_quoted(ids[0])} numbers the rows and measures nothing" if ids else ""
        raise DataError(f"{path}: has no column of numbers in addition to '{named}'{also}")
    cells, given = used_rows(cells, splits)
    if not cells.rows:
        raise DataError(f"{path}: every row has the split 'unused'")
    texts = _column(cells, named)
    classes = sorted_labels(texts) if columns else _classes(cells, named, texts)
    number = {name: place for place, name in enumerate(classes)}
    targets = np.array([number[text] for text in texts])
    table = numbers(cells, wanted)
    if columns is None:
        _require_resolution(cells, wanted, table)
    dataset = as_table(path.name, table, targets, classes, tuple(wanted), places(cells))
    remarks = [f"columns: {named} (classes)" + "".join(f", {column} (split)" for column in used)]
    remarks += [f"column {_quoted(c)} is not used: it numbers the rows; rename it to use it" for c in ids]
    remarks += [not_a_split(column) for column in unused]
    if len(wanted) == 1 and _counts(cells, wanted[0]):
        remarks.append(f"column '{wanted[0]}' is the only one and counts the rows; is it a measurement?")
    return replace(
        dataset,
        info=replace(
            dataset.info,
            warnings=tuple(remarks),
            given_split=[split or "train" for split in given] if any(given) else None,
        ),
    )


def _counts(cells: Cells, column: str) -> bool:
    """Whether the values of a column grow by one from row to row."""
    values = numeric_column(cells, column)
    return values is not None and len(values) >= COUNTED and bool((np.diff(values) == 1).all())


def _is_id(cells: Cells, column: str) -> bool:
    """Whether a column is called an id and holds a different whole number in each row."""
    values = numeric_column(cells, column)
    if values is None or len(values) < 2 or len(np.unique(values)) < len(values) or np.any(values % 1):
        return False
    return column.lower() in ID_NAMES or ID_ENDING.search(column) is not None


def _quoted(column: str) -> str:
    return f"'{column}'" if column else "without a name"


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
