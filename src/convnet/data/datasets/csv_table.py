"""Tables of numbers (M11): CSV with a column of classes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convnet.data.datasets.named.bundled import as_table
from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.errors import DataError
from convnet.registry import nearest

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
LABEL_NAMES = ("label", "class", "target", "species", "diagnosis")
DELIMITERS = ",;\t"
MOST_CLASSES = 1000
LARGEST = 1e30


@dataclass(frozen=True)
class Cells:
    """The text of a table: its column names, its rows, and the line of the file each row begins on."""

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]


def open_table(
    path: Path,
    *,
    label: str | None = None,
    ignore: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> TensorDataset:
    """Read a CSV file: every column a number but the one of the classes.

    A first line names the columns if it has text where the second has a number, or no number at all; else
    they are called 1, 2, …. The classes are in
    the column `label`, else in the one called label, class, target, species or diagnosis, else in the last.
    `columns`, if given, are those that a trained network takes, in its order; then any classes will do.

    Raises:
        DataError: naming the file, line and column of what is missing, no number, or of no use.
    """
    cells = read_cells(path)
    others = [c for c in cells.columns if c not in (columns or ()) and c not in ignore]
    if not (label or others):
        raise DataError(f"{path}: has no column of classes beside the numbers")
    named = label or next((c for c in others if c.lower() in LABEL_NAMES), others[-1])
    for column in (named, *ignore):
        if column not in cells.columns:
            raise DataError(f"{path}: has no column '{column}'{nearest(column, cells.columns)}")
    wanted = columns or [c for c in others if c != named]
    if not wanted:
        raise DataError(f"{path}: has no column of numbers beside '{named}'")
    texts = _column(cells, named)
    classes = sorted_labels(texts) if columns else _classes(cells, named, texts)
    number = {name: place for place, name in enumerate(classes)}
    targets = np.array([number[text] for text in texts])
    table = numbers(cells, wanted)
    if columns is None:
        _require_resolution(cells, wanted, table)
    return as_table(path.name, table, targets, classes, tuple(wanted), places(cells))


def read_cells(path: Path) -> Cells:
    """The text of a CSV file, separated by commas, semicolons or tabs.

    Raises:
        DataError: it cannot be read, is empty, or a row is longer or shorter than the others.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    return parse_cells(path, text)


def parse_cells(path: Path, text: str, *, header: bool | None = None) -> Cells:
    """The cells of CSV text; `header` says whether the first row has names, None finds out.

    Raises:
        DataError: it is empty, or a row is longer or shorter than the others; `path` names it.
    """
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    rows, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error
    if not rows:
        raise DataError(f"{path}: is empty")
    if not (_names(rows) if header is None else header):
        columns = [str(i + 1) for i in range(len(rows[0]))]
    else:
        columns, rows, lines = [c or str(i + 1) for i, c in enumerate(rows[0])], rows[1:], lines[1:]
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise DataError(f"{path}: two columns are called '{twice[0]}'; rename one")
    if not rows:
        raise DataError(f"{path}: has column names and no rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise DataError(f"{path}: line {line} has {len(row)} fields, expected {len(columns)}")
    return Cells(path, tuple(columns), rows, lines)


def numbers(cells: Cells, columns: Sequence[str]) -> np.ndarray:
    """The columns as float64 N×C.

    Raises:
        DataError: naming the column that is missing, or the line and column of a missing value or of what
            is no finite number.
    """
    for column in columns:
        if column not in cells.columns:
            raise DataError(f"{cells.path}: has no column '{column}'{nearest(column, cells.columns)}")
    taken = [cells.columns.index(column) for column in columns]
    values = [[_number(row[place]) for place in taken] for row in cells.rows]
    for row, line, texts in zip(values, cells.lines, cells.rows, strict=True):
        for column, place, value in zip(columns, taken, row, strict=True):
            if value is None or abs(value) > LARGEST:
                text = texts[place]
                what = f"'{text}' is not a number" if text else "the value is missing"
                if _number(text.replace(",", ".")) is not None and value is None:
                    what += f" (with a decimal point it would be: {text.replace(',', '.')})"
                if value is not None:
                    what = f"{text} is no number below {LARGEST:g}"
                raise DataError(
                    f"{cells.path}: line {line}, column '{column}': {what}; correct it, remove the line, or "
                    f"leave the column out (in training: --set 'data.ignore=[{column}]')"
                )
    return np.array(values, np.float64)


def _require_resolution(cells: Cells, columns: Sequence[str], table: np.ndarray) -> None:
    """Numbers are kept in single precision: what differs in the seventh digit only would be the same."""
    spread, size = np.ptp(table, axis=0), np.abs(table).max(0)
    for column, apart, large in zip(columns, spread, size, strict=True):
        if 0 < apart < max(1e-5 * large, 1e-30):
            raise DataError(
                f"{cells.path}: column '{column}' differs by {apart:g} at a size of {large:g}, which single "
                "precision does not resolve; subtract its mean, scale it, or leave it out "
                f"(--set 'data.ignore=[{column}]')"
            )


def places(cells: Cells) -> list[str]:
    """Where each row is: "file.csv:7"."""
    return [f"{cells.path.name}:{line}" for line in cells.lines]


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
    """The different texts, if they can be classes."""
    found = set(texts)
    other = "; name the column of the classes with --set data.label=NAME"
    if len(found) < 2:
        raise DataError(f"{cells.path}: column '{name}' holds one class only, '{texts[0]}'{other}")
    if len(found) > min(MOST_CLASSES, max(2, len(texts) // 2)):
        raise DataError(
            f"{cells.path}: column '{name}' holds {len(found)} different values in {len(texts)} rows, which "
            f"are no classes{other} (columns: {', '.join(cells.columns[:20])})"
        )
    return sorted_labels(texts)


def sorted_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """The different texts, by their numbers where they are numbers."""
    found = set(texts)
    values = {text: _number(text) for text in found}
    if any(value is None for value in values.values()):
        return tuple(sorted(found))
    return tuple(sorted(found, key=lambda text: values[text] or 0.0))


def _names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns."""
    first, second = rows[0], rows[1] if len(rows) > 1 else rows[0]
    numeric = [_number(cell) is not None for cell in first]
    below = [_number(cell) is not None for cell in second]
    return not any(numeric) or any(not a and b for a, b in zip(numeric, below, strict=False))


def _number(text: str) -> float | None:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
