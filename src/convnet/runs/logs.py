"""`metrics.csv` (a row per epoch) and `steps.csv` (a row per update)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from convnet.atomic import cannot_write, write_atomically
from convnet.errors import RunError

TIMES = ("seconds", "data_seconds", "images_per_second")

Row = dict[str, float | None]


class MetricsLog:
    """The epochs of a run; the file is rewritten whole and atomically after each.

    Numbers are written with all their digits. Columns with "second" in their name are measurements of
    time; all others are the same however often a run was interrupted. `score` is what the figure of merit
    is called.
    """

    def __init__(self, path: Path, score: str = "accuracy") -> None:
        self.path = path
        measured = ("train_loss", f"train_{score}", "val_loss", f"val_{score}")
        self.columns = ("epoch", "step", "learning_rate", *measured, *TIMES)
        self.rows: list[Row] = _read(path) if path.exists() else []

    def rewind(self, epoch: int) -> None:
        """Forget the epochs after `epoch`: the run goes on from there."""
        self.rows = [row for row in self.rows if (row["epoch"] or 0) <= epoch]

    def append(self, row: Row) -> None:
        """Add an epoch and write the file."""
        self.rows.append(row)
        write_atomically(self.path, _to_csv(self.columns, self.rows))


class StepLog:
    """The updates of a run, appended; `flush` brings them to the disk before a checkpoint counts on them."""

    def __init__(self, path: Path, last_step: int, score: str = "accuracy") -> None:
        """Open for appending after `last_step`; later rows, which no checkpoint vouches for, are cut off."""
        self.path = path
        kept = [row for row in (_read(path) if path.exists() else []) if (row["step"] or 0) <= last_step]
        write_atomically(path, _to_csv(("step", "learning_rate", "loss", score), kept))
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def append(self, values: Sequence[float]) -> None:
        """Add a row: step, learning rate, loss, score."""
        self._writer.writerow([_plain(value) for value in values])

    def flush(self) -> None:
        """Write what is buffered through to the disk.

        Raises:
            RunError: the disk is full.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from error

    def close(self) -> None:
        """Flush and close, however the run ended."""
        try:
            self._file.close()
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from error

    @staticmethod
    def read(path: Path) -> list[Row]:
        """All rows of a step log."""
        return _read(path)


def _read(path: Path) -> list[Row]:
    """The rows of a log; a last line that was cut off by a kill is left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        return [
            {name: float(value) if value else None for name, value in row.items()} for row in _rows(lines)
        ]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path}: missing or damaged: {error}") from error


def _rows(lines: Sequence[str]) -> csv.DictReader[str]:
    """The rows of a log, which has at least the columns of a step."""
    reader = csv.DictReader(lines)
    if lines and not {"step", "learning_rate"} <= set(reader.fieldnames or ()):
        raise ValueError("not a log of training")
    return reader


def _to_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _plain(v) for k, v in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: float | None) -> float | int | str:
    """Whole numbers without a decimal point, so that a row reads the same the second time it is written."""
    if value is None:
        return ""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value
