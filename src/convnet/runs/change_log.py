"""`events.csv`: the changes that were made to a run while it was trained."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.errors import RunError

COLUMNS = ("step", "field", "value")


@dataclass(frozen=True)
class Change:
    """A field of the recipe that was changed during training.

    Attributes:
        step: The number of updates before the change.
        field: The dotted name of the field.
        value: Its new value.
    """

    step: int
    field: str
    value: Any

    def __str__(self) -> str:
        shown = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)
        return f"step {self.step:,}: {self.field}={shown}"


def read_changes(path: Path) -> list[Change]:
    """The changes in the order in which they were made.

    Args:
        path: A CSV file with the columns step, field and value (JSON).

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if missing := {*COLUMNS} - {*(reader.fieldnames or ())}:
            raise ValueError(f"it has no column {min(missing)}")
        changes = [Change(int(row["step"]), row["field"], json.loads(row["value"])) for row in reader]
        steps = [change.step for change in changes]
        if steps != sorted(steps) or any(step < 0 for step in steps):
            raise ValueError("its steps are not in order")
    except (OSError, ValueError, TypeError, csv.Error, RecursionError) as error:
        raise RunError(
            f"{path}: not a log of changes: {error}; restore it, or use the events.csv of a run"
        ) from error
    return changes


def changes_as_csv(changes: Iterable[Change]) -> str:
    """The content of `events.csv`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([c.step, c.field, json.dumps(c.value, ensure_ascii=False)] for c in changes)
    return text.getvalue()


def write_changes(path: Path, changes: Sequence[Change]) -> None:
    """Write the changes of a run atomically.

    Raises:
        RunError: The disk is full or the folder is not writable.
    """
    write_atomically(path, changes_as_csv(changes))
