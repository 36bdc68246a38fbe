"""What simple models reach on some data and split, on disk: `baselines-SPLIT.json` beside the runs."""

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
    """One model: accuracies (None where a split is empty), the 95% interval of the test accuracy, costs.

    `fit_seconds` is learning, without reading the data; `ms_per_image` predicting, in batches; `bytes` what
    is stored; `run` the folder's name beside the table.
    """

    name: str
    val_accuracy: float | None
    test_accuracy: float | None
    test_interval: tuple[float, float] | None
    fit_seconds: float
    ms_per_image: float
    bytes: int
    run: str

    @property
    def accuracy(self) -> float:
        """On the test split, or the validation split where there is no test."""
        return self.test_accuracy if self.test_accuracy is not None else self.val_accuracy or 0.0


@dataclass(frozen=True)
class Baselines:
    """All rows for one data set; `split` is the fingerprint of the split they were made on."""

    data: str
    split: str
    rows: tuple[BaselineRow, ...]

    def write(self, folder: Path) -> Path:
        """Store in `folder`; returns the file.

        Raises:
            RunError: the disk is full or the folder not writable.
        """
        file = folder / f"baselines-{self.split[:8]}.json"  # other splits have tables of their own
        write_atomically(file, json.dumps(asdict(self), indent=2, ensure_ascii=False))
        return file

    def ranked(self, own: float) -> list[BaselineRow | None]:
        """Best first; None is the place of a model whose accuracy is `own`."""
        rows: list[tuple[float, BaselineRow | None]] = [
            (own, None),
            *((row.accuracy, row) for row in self.rows),
        ]
        return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]

    def public(self) -> dict[str, Any]:
        """What `--json` prints."""
        rows = [{k: v for k, v in asdict(row).items() if k != "run"} for row in self.rows]
        return {"data": self.data, "rows": rows}


def split_fingerprint(text: str) -> str:
    """Of a split.csv: the same where the same samples are in the same splits."""
    return hashlib.sha256(text.encode()).hexdigest()


def baselines_beside(run: RunFolder) -> Baselines | None:
    """The newest table below the run's own and the next folder up that was made on the same split."""
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
    """None where the file is not what we wrote: it only adds to a report."""
    try:
        content = json.loads(file.read_bytes())
        rows: Iterable[dict[str, Any]] = content["rows"]
        for row in rows:
            row["test_interval"] = row["test_interval"] and tuple(row["test_interval"])
        return Baselines(content["data"], content["split"], tuple(BaselineRow(**row) for row in rows))
    except (OSError, ValueError, KeyError, TypeError):
        return None
