"""The table of baselines for a data set and a split, stored as `baselines-SPLIT.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.errors import RunError
from convnet.runs.folder import RunFolder


@dataclass(frozen=True)
class BaselineRow:
    """One model.

    Attributes:
        name: Its name in the table.
        val_accuracy: None if the split is empty.
        test_accuracy: None if the split is empty.
        test_interval: The 95% confidence interval of the test accuracy (Wilson).
        fit_seconds: The time of fitting, without reading the data.
        ms_per_image: The time of prediction per image, in batches.
        bytes: The size of the stored weights.
        run: The name of its run folder next to the table.
        epochs: Passes over the training samples; 0 for models that are fitted in one pass.
        limited: Whether the time limit made it smaller or ended its training early.
    """

    name: str
    val_accuracy: float | None
    test_accuracy: float | None
    test_interval: tuple[float, float] | None
    fit_seconds: float
    ms_per_image: float
    bytes: int
    run: str
    epochs: int = 0
    limited: bool = False

    @property
    def accuracy(self) -> float:
        """The test accuracy, or the validation accuracy if there is no test split."""
        return self.test_accuracy if self.test_accuracy is not None else self.val_accuracy or 0.0


@dataclass(frozen=True, repr=False)
class Baselines:
    """The baselines measured on one split of a data set.

    Attributes:
        data: The name of the data.
        split: The fingerprint of the split.
        rows: One row per model.
    """

    data: str
    split: str
    rows: tuple[BaselineRow, ...]

    def __repr__(self) -> str:
        best_first = sorted(self.rows, key=lambda row: -row.accuracy)
        return "\n".join(
            [f"Baselines of {self.data}", *(f"{row.accuracy:8.2%}  {row.name}" for row in best_first)]
        )

    def write(self, folder: Path) -> Path:
        """Write the table as JSON.

        Args:
            folder: The folder of the file; tables of other splits have other names.

        Returns:
            The path of the file.

        Raises:
            RunError: The disk is full or the folder is not writable.
        """
        file = folder / f"baselines-{self.split[:8]}.json"
        write_atomically(file, json.dumps(asdict(self), indent=2, ensure_ascii=False))
        return file

    def ranked(self, own: float) -> list[BaselineRow | None]:
        """The rows with the rank of another model among them.

        Args:
            own: The accuracy of the other model, 0…1.

        Returns:
            The rows, best first, and None for the other model.
        """
        rows: list[tuple[float, BaselineRow | None]] = [
            (own, None),
            *((row.accuracy, row) for row in self.rows),
        ]
        return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]

    def public(self) -> dict[str, Any]:
        """The content of `--json`."""
        rows = [{k: v for k, v in asdict(row).items() if k != "run"} for row in self.rows]
        return {"data": self.data, "rows": rows}


def split_fingerprint(text: str) -> str:
    """The fingerprint of a split.csv; equal if the same samples are in the same splits."""
    return hashlib.sha256(text.encode()).hexdigest()


def baselines_beside(run: RunFolder) -> Baselines | None:
    """The newest table for the run's split near the run folder or in runs/; None if there is none."""
    try:
        wanted = split_fingerprint(run.read("split.csv"))
    except RunError:
        return None
    parents = (run.path.parent, run.path.parent.parent, Path("runs").absolute())
    files = {file for parent in parents for file in parent.glob(f"*/baselines-{wanted[:8]}.json")}
    for file in sorted(files, key=lambda f: f.stat().st_mtime, reverse=True):
        found = _read(file)
        if found is not None and found.split == wanted:
            return found
    return None


def _read(file: Path) -> Baselines | None:
    """The table in a file; None if the file is not a valid table."""
    try:
        content = json.loads(file.read_bytes())
        rows: Iterable[dict[str, Any]] = content["rows"]
        for row in rows:
            row["test_interval"] = row["test_interval"] and tuple(row["test_interval"])
        return Baselines(content["data"], content["split"], tuple(BaselineRow(**row) for row in rows))
    except (OSError, ValueError, KeyError, TypeError):
        return None
