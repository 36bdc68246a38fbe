"""Read CSV and TSV files as named columns of text cells."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convnet.errors import DataError
from convnet.registry import nearest

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
LABEL_NAMES = ("label", "class", "target", "species", "diagnosis")
DELIMITERS = ",;\t"
LARGEST = 1e30
LARGEST_FILE = 200_000_000
"""The largest CSV file that is read, in bytes; its cells take about fifteen times as much memory."""
MOST_COLUMNS = 20_000


@dataclass(frozen=True)
class Cells:
    """The cells of a table: column names, rows, and the line of the file that each row starts on."""

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]


def read_cells(path: Path) -> Cells:
    """Read a CSV file separated by commas, semicolons or tabs.

    Raises:
        DataError: The file cannot be read, is empty, or its rows differ in length.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise DataError(
                f"{path}: has {size / 1e9:.1f} GB, more than the {LARGEST_FILE / 1e9:.1f} GB that are read "
                "of a table of text; train on a part"
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a table: {error.strerror or error}") from error
    return parse_cells(path, decode_text(path, content))


def decode_text(path: Path, content: bytes) -> str:
    """The text of a table in UTF-8, or in UTF-16 with a byte order mark; lines end with a line feed.

    Raises:
        DataError: It is in another encoding; the message names one that fits.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line} is not UTF-8; {_encoding(content)}") from error
    if "\0" in text:
        raise DataError(f"{path}: is not UTF-8; {_encoding(content)}")
    return text if "\n" in text else text.replace("\r", "\n")


def _encoding(content: bytes) -> str:
    """The likely encoding of a table that is not UTF-8, and how to convert it."""
    head = content[:400]
    zeros = [head[place::4].count(0) for place in range(4)]
    if not any(zeros):
        name, code = "Windows-1252 (Latin-1)", "cp1252"
    elif max(zeros) < len(head) // 8:
        return "it holds binary data, which is no table"
    elif min(zeros[0], zeros[1]) > len(head) // 5 or min(zeros[2], zeros[3]) > len(head) // 5:
        name, code = "UTF-32", "utf-32be" if zeros[0] > zeros[3] else "utf-32le"
    else:
        name, code = "UTF-16", "utf-16be" if zeros[0] + zeros[2] > zeros[1] + zeros[3] else "utf-16le"
    return f"it looks like {name}. Save it as UTF-8, for example: iconv -f {code} -t utf-8"


def parse_cells(path: Path, text: str, *, header: bool | None = None) -> Cells:
    """Parse CSV text.

    Args:
        path: The file, for messages.
        text: Its text.
        header: Whether the first row holds column names; None to detect it.

    Raises:
        DataError: The text is empty, or its rows differ in length.
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
        columns, rows, lines = [c or f"unnamed: {i}" for i, c in enumerate(rows[0])], rows[1:], lines[1:]
    if len(columns) > MOST_COLUMNS:
        raise DataError(f"{path}: has {len(columns):,} columns; tables have at most {MOST_COLUMNS:,}")
    twice = sorted(c for c, times in Counter(columns).items() if times > 1)
    if twice:
        raise DataError(f"{path}: two columns have the name '{twice[0]}'; rename one")
    if not rows:
        raise DataError(f"{path}: has column names but no rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise DataError(f"{path}: line {line} has {len(row)} fields, expected {len(columns)}")
    return Cells(path, tuple(columns), rows, lines)


def with_earlier_names(cells: Cells, known: Sequence[str]) -> Cells:
    """Columns without a name are called 1, 2, … in runs of earlier versions."""
    earlier = [str(i + 1) if c == f"unnamed: {i}" else c for i, c in enumerate(cells.columns)]
    pairs = zip(cells.columns, earlier, strict=True)
    return replace(cells, columns=tuple(old if old in known else name for name, old in pairs))


def numbers(cells: Cells, columns: Sequence[str]) -> np.ndarray:
    """Some columns as float64 N×C.

    Raises:
        DataError: A column is missing, or a cell is empty or not a finite number; the message names line and
            column.
    """
    number = {column: place for place, column in enumerate(cells.columns)}
    for column in columns:
        if column not in number:
            raise DataError(f"{cells.path}: has no column '{column}'{nearest(column, cells.columns)}")
    taken = [number[column] for column in columns]
    values = [[_number(row[place]) for place in taken] for row in cells.rows]
    for row, line, texts in zip(values, cells.lines, cells.rows, strict=True):
        for column, place, value in zip(columns, taken, row, strict=True):
            if value is None or abs(value) > LARGEST:
                text = texts[place]
                what = f"'{text}' is not a number" if text else "the value is missing"
                if _number(text.replace(",", ".")) is not None and value is None:
                    what += f" (write {text.replace(',', '.')} with a decimal point)"
                if value is not None:
                    what = f"{text} is not below {LARGEST:g}"
                raise DataError(
                    f"{cells.path}: line {line}, column '{column}': {what}; correct it, remove the line, or "
                    f"ignore the column (in training: --set 'data.ignore=[{column}]')"
                )
    return np.array(values, np.float64)


def numeric_column(cells: Cells, column: str) -> np.ndarray | None:
    """A column as float64 N; None if a cell is not a finite number."""
    place = cells.columns.index(column)
    values = [_number(row[place]) for row in cells.rows]
    return None if None in values else np.array(values, np.float64)


def places(cells: Cells) -> list[str]:
    """The location of each row, "file.csv:7"."""
    return [f"{cells.path.name}:{line}" for line in cells.lines]


def sorted_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct values in order, by number if all are numbers."""
    found = set(texts)
    values = {text: _number(text) for text in found}
    if any(value is None for value in values.values()):
        return tuple(sorted(found))
    return tuple(sorted(found, key=lambda text: values[text] or 0.0))


def _names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds column names."""
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
