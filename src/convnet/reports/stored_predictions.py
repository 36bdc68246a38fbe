"""The predictions that a run has stored, checked and read for its page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
import torch

from convnet.data import Dataset
from convnet.errors import RunError, in_one_line
from convnet.runs import RunFolder
from convnet.tasks import ClassificationResult, Task


def prediction_rows(
    folder: RunFolder, task: Task, classes: Sequence[str], dataset: Dataset | None, split: str
) -> list[dict[str, str]]:
    """The rows of predictions.csv about a split, "val" or "test".

    Raises:
        RunError: The file is damaged.
    """
    file = folder.file("predictions.csv")
    texts = ["sample", *(["class", "predicted"] if task.target.exclusive else [])]
    numbers = ["index"] + (["confidence", "class_probability"] if task.target.exclusive else [])
    try:
        rows = list(csv.DictReader(io.StringIO(folder.read("predictions.csv"), newline=""), strict=True))
        if rows and (missing := {*texts, *numbers, "split"} - rows[0].keys()):
            raise ValueError(f"it has no column {min(missing)}")
        for row in rows:
            values = [float(row[name]) for name in numbers]
            if not all(map(math.isfinite, values)) or {row["split"]} - {"val", "test"} or None in row:
                raise ValueError(f"the row of sample {row['index']}")
            if task.target.exclusive and not {row["class"], row["predicted"]} <= {*classes}:
                raise ValueError(f"sample {row['index']} has a class that the run does not know")
            if task.target.dense and row[task.score.key]:
                float(row[task.score.key])
            index = int(row["index"])
            if index < 0 or (dataset is not None and index >= len(dataset)):
                raise ValueError(f"the data has no sample {index}")
        rows = [row for row in rows if row["split"] == split]
        if not rows:
            raise ValueError(f"it has no rows of the split {split}")
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{file}: damaged: {in_one_line(error)}; train the run again") from error
    return rows


def stored_evaluation(
    folder: RunFolder, split: str, rows: list[dict[str, str]], classes: list[str]
) -> ClassificationResult | None:
    """The predictions on a split from predictions.npz; None for a run of an earlier version, which has none.

    Args:
        folder: The run folder.
        split: "val" or "test".
        rows: The rows of predictions.csv about the split.
        classes: The names of the classes.

    Raises:
        RunError: predictions.npz is damaged or does not belong to predictions.csv.
    """
    file = folder.file("predictions.npz")
    if not file.exists():
        return None
    try:
        with file.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
            logits, targets, indices = (
                torch.from_numpy(arrays[f"{split}_{name}"]) for name in ("logits", "targets", "indices")
            )
            if logits.shape != (len(targets), len(classes)) or not len(targets) == len(indices) > 0:
                raise ValueError(
                    f"{split} has arrays of shapes {tuple(logits.shape)} and {tuple(targets.shape)}"
                )
            if indices.tolist() != [int(row["index"]) for row in rows]:
                raise ValueError(f"{split} has other samples than predictions.csv")
            if not 0 <= int(targets.min()) <= int(targets.max()) < len(classes):
                raise ValueError(f"{split} has targets that are no classes")
    except Exception as error:  # zip, zlib and NumPy raise nearly anything
        raise RunError(f"{file}: damaged: {in_one_line(error)}; train the run again") from error
    return ClassificationResult(0.0, logits, targets, indices)
