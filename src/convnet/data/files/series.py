"""File formats of series: ARFF, UCR text, CSV, .npz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convnet.data.files.csv import read_cells
from convnet.errors import DataError, in_one_line
from convnet.registry import nearest

LABEL_NAMES = ("label", "class", "target")
SERIES_NAMES = ("series", "series_id", "series id")
STEP_NAMES = ("step", "time", "t", "timestamp")
UNKNOWN = "?"
"""The class of series without a class, where none is required."""
EMPTY = ("", "nan", "na", "?")


@dataclass(frozen=True)
class Series:
    """A series: values C×L, one label or one per step, its location, and its sampling rate, if any."""

    values: NDArray[np.float32]
    label: str | Sequence[str]
    location: str
    rate: int | None = None


Reader = Callable[[Path, str | None, bool], list[Series]]
"""(file, class column, whether classes are required) → the series of the file."""


def read_arff(path: Path, label: str | None = None, labeled: bool = True) -> list[Series]:
    """Read ARFF: attributes are steps; the class is `label`, or the last nominal attribute.

    Raises:
        DataError: The file is not ARFF, has no class attribute, or a row has another number of values.
    """
    from scipy.io import arff

    try:
        with path.open(encoding="utf-8") as file:
            rows, meta = arff.loadarff(file)
    except (arff.ArffError, ValueError, IndexError, StopIteration, NotImplementedError, OSError) as error:
        raise DataError(
            f"{path}: not a readable ARFF file: {in_one_line(error)}; every row "
            "needs a value for each @attribute"
        ) from error
    nominal = [name for name, kind in zip(meta.names(), meta.types(), strict=True) if kind == "nominal"]
    chosen = label or next(iter(nominal[::-1]), None)
    if labeled and (chosen is None or chosen not in meta.names()):
        wanted = f"attribute '{chosen}'" if chosen else "nominal attribute {a, b, …} for the classes"
        raise DataError(f"{path}: has no {wanted}; its attributes are {', '.join(meta.names()[-6:])}")
    steps = [name for name in meta.names() if name != chosen]
    kinds = dict(zip(meta.names(), meta.types(), strict=True))
    if strange := [name for name in steps if kinds[name] != "numeric"]:
        raise DataError(f"{path}: the attribute '{strange[0]}' is {kinds[strange[0]]}, not numeric")
    if not steps:
        raise DataError(f"{path}: has no attributes other than the class")
    return [
        _ended(
            np.array([row[name] for name in steps], np.float32)[None],
            _text(row[chosen]) if chosen in meta.names() else UNKNOWN,
            f"{path.name}[{i}]",
        )
        for i, row in enumerate(rows)
    ]


def read_ucr(path: Path, label: str | None = None, labeled: bool = True) -> list[Series]:
    """Read the text format of the UCR archive: one row per series, the class first.

    Values are separated by spaces, tabs or commas.

    Raises:
        DataError: The file cannot be read, or a value is not a number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        mark = next((mark for mark in (",", "\t") if mark in line), None)
        words = line.split(mark)
        if len(words) < 2:
            raise DataError(f"{path}: line {number} has no numbers after the class")
        values = _row(path, number, words[1:])
        found.append(_ended(values[None], _plain(words[0]), f"{path.name}:{number}"))
    return found


def read_csv(path: Path, label: str | None = None, labeled: bool = True) -> list[Series]:
    """Read CSV with one row per series and one column per step.

    With a column `series` there is one row per step and one column per channel; a class that changes within a
    series is then a class per step.

    Raises:
        DataError: A column is missing, or a value is not a number.
    """
    cells = read_cells(path)
    named = {name.lower(): name for name in cells.columns}
    group = next((named[name] for name in SERIES_NAMES if name in named), None)
    last = cells.columns[-1] if labeled else None
    chosen = label or next((named[name] for name in LABEL_NAMES if name in named), last)
    if labeled and chosen not in cells.columns:
        raise DataError(f"{path}: has no column '{chosen}'{nearest(str(chosen), cells.columns)}")
    others = {chosen, group} | {named[name] for name in STEP_NAMES if group and name in named}
    kept = [i for i, name in enumerate(cells.columns) if name not in others]
    at = cells.columns.index(chosen) if chosen in cells.columns else None
    texts = [UNKNOWN if at is None else row[at] for row in cells.rows]
    rows = [
        _row(path, line, [row[i] for i in kept]) for row, line in zip(cells.rows, cells.lines, strict=True)
    ]
    if group is None:
        lines = zip(rows, texts, cells.lines, strict=True)
        return [_ended(values[None], text, f"{path.name}:{line}") for values, text, line in lines]
    key = cells.columns.index(group)
    members: dict[str, list[int]] = {}
    for i, row in enumerate(cells.rows):
        members.setdefault(row[key], []).append(i)
    labels = {name: [texts[i] for i in places] for name, places in members.items()}
    per_step = any(len(set(texts)) > 1 for texts in labels.values())
    return [
        Series(
            np.stack([rows[i] for i in places], 1),
            labels[name] if per_step else labels[name][0],
            f"{path.name}[{name}]",
        )
        for name, places in members.items()
    ]


def read_npz(path: Path, label: str | None = None, labeled: bool = True) -> list[Series]:
    """Read arrays x (N×L or N×C×L, NaN after the end of shorter series) and y (N, or N×L per step).

    Raises:
        DataError: The file is damaged, an array is missing, or shapes do not match.
    """
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            arrays = {name.lower(): file[name] for name in file.files}
    except Exception as error:  # zip, zlib and NumPy raise nearly anything
        raise DataError(f"{path}: cannot be read: {in_one_line(error)}") from error
    x = next((arrays[name] for name in ("x", "series", "data") if name in arrays), None)
    y = next((arrays[name] for name in (label or "y", "y", "labels", "label") if name in arrays), None)
    if y is None and x is not None and not labeled:
        y = np.full(len(x), UNKNOWN)
    if x is None or y is None:
        raise DataError(f"{path}: expected arrays x and y, found {', '.join(list(arrays)[:8]) or 'none'}")
    shaped = x.ndim in (2, 3) and y.ndim in (1, 2) and len(x) == len(y)
    if not shaped or not np.issubdtype(x.dtype, np.number) or not x.size:
        raise DataError(
            f"{path}: x is {x.shape} {x.dtype} and y {y.shape}; expected numbers N×L or N×C×L, and y of N"
        )
    if y.ndim == 2 and y.shape[1] != x.shape[-1]:
        raise DataError(f"{path}: y has {y.shape[1]} classes per series, x {x.shape[-1]} steps")
    values = x.astype(np.float32).reshape(len(x), -1, x.shape[-1])
    places = [f"{path.name}[{i}]" for i in range(len(x))]
    if y.ndim == 2:
        ended = [_ended(v, "", p) for v, p in zip(values, places, strict=True)]
        return [
            Series(s.values, [_text(c) for c in row[: s.values.shape[1]]], s.location)
            for s, row in zip(ended, y, strict=True)
        ]
    return [_ended(v, _text(c), p) for v, c, p in zip(values, y, places, strict=True)]


def _row(path: Path, line: int, words: Sequence[str]) -> NDArray[np.float32]:
    """The numbers of a row; NaN for empty cells."""
    try:
        return np.array([np.nan if w.strip().lower() in EMPTY else float(w) for w in words], np.float32)
    except ValueError:
        strange = next(w for w in words if not _is_number(w))
        raise DataError(f"{path}: line {line}: '{strange[:40]}' is not a number") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word.strip().lower() in EMPTY
    return True


def _ended(values: NDArray[np.float32], label: str, location: str) -> Series:
    """A series without the NaN after its end."""
    there = np.nonzero(~np.isnan(values).all(0))[0]
    length = int(there[-1]) + 1 if len(there) else 0
    return Series(values[:, :length], label, location)


def _text(value: object) -> str:
    return _plain(value.decode() if isinstance(value, bytes) else str(value))


def _plain(word: str) -> str:
    """The name of a class; 1.0000000e+00 becomes 1."""
    try:
        number = float(word)
    except ValueError:
        return word.strip()
    return str(int(number)) if number.is_integer() else word.strip()


READERS: dict[str, Reader] = {
    ".arff": read_arff,
    ".csv": read_csv,
    ".npz": read_npz,
    ".tsv": read_ucr,
    ".txt": read_ucr,
}
