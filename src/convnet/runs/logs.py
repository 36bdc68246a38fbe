"""The logs of a run: `metrics.csv` (one row per epoch) and `steps.csv` (one row per update)."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from convnet.atomic import cannot_write, write_atomically
from convnet.errors import RunError

TIMES = ("seconds", "data_seconds", "images_per_second")
EPOCH_COLUMNS = ("epoch", "step", "learning_rate", "train_loss", *TIMES)
STEP_COLUMNS = ("step", "learning_rate", "loss")
WHOLE = ("epoch", "step")

Row = dict[str, float | None]


class MetricsLog:
    """The log of epochs; the file is rewritten atomically after each epoch.

    Numbers are written with full precision. Except for the columns of time, the file does not depend on how
    often a run was interrupted.

    Args:
        path: The CSV file; existing rows are read.
        score: The name of the main metric; None to read the others only.
        metrics: The names of further metrics of the validation data.
    """

    def __init__(self, path: Path, score: str | None = None, metrics: Iterable[str] = ()) -> None:
        self.path = path
        scores = () if score is None else (f"train_{score}", f"val_{score}")
        measured = ("train_loss", *scores[:1], "val_loss", *scores[1:], *(f"val_{name}" for name in metrics))
        self.columns = ("epoch", "step", "learning_rate", *measured, *TIMES)
        self.rows: list[Row] = (
            _read(path, EPOCH_COLUMNS, (*EPOCH_COLUMNS, *measured)) if path.exists() else []
        )
        if [row["epoch"] for row in self.rows] != list(range(1, len(self.rows) + 1)):
            raise RunError(
                f"{path}: damaged: its epochs are not counted from 1; restore the file, or train the run "
                "again"
            )

    def rewind(self, epoch: int) -> None:
        """Discard the rows after `epoch`."""
        self.rows = [row for row in self.rows if (row["epoch"] or 0) <= epoch]

    def append(self, row: Row) -> None:
        """Add a row and write the file."""
        self.rows.append(row)
        write_atomically(self.path, _to_csv(self.columns, self.rows))


class StepLog:
    """The log of updates; rows are appended, and `flush` writes them to disk before a checkpoint."""

    def __init__(self, path: Path, last_step: int, score: str = "accuracy") -> None:
        """Open for appending after `last_step`; later rows are discarded."""
        self.path = path
        kept = [
            row
            for row in (_read(path, STEP_COLUMNS, STEP_COLUMNS) if path.exists() else [])
            if (row["step"] or 0) <= last_step
        ]
        write_atomically(path, _to_csv(("step", "learning_rate", "loss", score), kept))
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def append(self, values: Sequence[float]) -> None:
        """Add a row: step, learning rate, loss, score."""
        self._writer.writerow([_plain(value) for value in values])

    def flush(self) -> None:
        """Write buffered rows to disk.

        Raises:
            RunError: The disk is full.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from error

    def close(self) -> None:
        """Flush and close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from error

    @staticmethod
    def read(path: Path) -> list[Row]:
        """All rows of a step log."""
        return _read(path, STEP_COLUMNS, STEP_COLUMNS)


def _read(path: Path, needed: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """The rows of a log, without an incomplete last line (after a kill)."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        return [_numbers(row, needed) for row in _rows(lines, columns)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise RunError(
            f"{path}: missing or damaged: {error}; restore the file, or train the run again"
        ) from error


def _numbers(row: Mapping[str, str], needed: Sequence[str]) -> Row:
    """The cells of a row: whole numbers for epochs and steps; None for empty cells of optional columns."""
    values: Row = {}
    for name, text in row.items():
        number = float(text) if text else None
        if (number is None and name in needed) or (number is not None and not math.isfinite(number)):
            raise ValueError(f"'{text}' in column '{name}'")
        values[name] = int(number) if number is not None and name in WHOLE else number
    return values


def _rows(lines: Sequence[str], columns: Sequence[str]) -> csv.DictReader[str]:
    """A reader of the rows of a log with at least these columns."""
    reader = csv.DictReader(lines, strict=True)
    if lines and (missing := {*columns} - set(reader.fieldnames or ())):
        raise ValueError(f"it has no column {min(missing)}")
    return reader


def _to_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _plain(v) for k, v in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: float | None) -> float | int | str:
    """Whole numbers without a decimal point, so that rewriting a row does not change it."""
    if value is None:
        return ""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value
