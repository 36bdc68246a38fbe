"""List the runs below a folder, finished or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from convnet.errors import ConvnetError, RunError
from convnet.workflows.run import load_run

DEPTH = 3
"""How deep runs are searched for: runs/NAME-compare-1/VARIANT-seed0."""


@dataclass(frozen=True)
class RunRow:
    """A run.

    Attributes:
        name: Its path below the folder.
        data: The name of its data.
        model: Its network.
        epochs: The epochs done.
        planned: The epochs planned.
        metric: The name of its main metric.
        score: The main metric on the test split, else on the validation split; None if it is not finished.
        bytes: Its size on disk.
        date: When its recipe was last written, ISO 8601.
        state: "finished", "unfinished", or what is wrong with it.
    """

    name: str
    data: str = ""
    model: str = ""
    epochs: int = 0
    planned: int = 0
    metric: str = ""
    score: float | None = None
    bytes: int = 0
    date: str = ""
    state: str = "unfinished"

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values, for JSON."""
        return asdict(self)


def list_runs(folder: Path) -> list[RunRow]:
    """The runs in a folder and up to three levels below it, newest first.

    Raises:
        RunError: The folder does not exist.
    """
    rows = [_row(path, folder) for path in _run_folders(folder, DEPTH)]
    return sorted(rows, key=lambda row: row.date, reverse=True)


def has_runs(folder: Path) -> bool:
    """Whether a folder holds runs, in it or up to three levels below it."""
    return next(_run_folders(folder, DEPTH), None) is not None


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "run.json").exists():
        yield folder
    elif depth and folder.is_dir():
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from _run_folders(child, depth - 1)


def _size(path: Path) -> int:
    """The bytes of all files of a folder; files that are just being replaced do not count."""
    total = 0
    for file in path.rglob("*"):
        with suppress(OSError):
            if file.is_file():
                total += file.stat().st_size
    return total


def _row(path: Path, folder: Path) -> RunRow:
    name = path.name if path == folder else path.relative_to(folder).as_posix()
    size = _size(path)
    date = datetime.fromtimestamp((path / "run.json").stat().st_mtime).isoformat(timespec="seconds")
    try:
        run = load_run(path)
        score = run.task.score
        held_out = (run.result["test"] or run.result["val"] or {}) if run.folder.finished else {}
        return RunRow(
            name,
            run.data["name"],
            run.recipe.model.label,
            len(run.metrics) if run.folder.file("metrics.csv").exists() else 0,
            run.recipe.epochs,
            score.label,
            held_out.get(score.key),
            size,
            date,
            "finished" if run.folder.finished else "unfinished",
        )
    except ConvnetError as error:
        what = "damaged" if isinstance(error, RunError) else "cannot be loaded"
        return RunRow(name, bytes=size, date=date, state=f"{what}: {error}")
