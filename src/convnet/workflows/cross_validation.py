"""k-fold cross-validation: k runs, and a prediction for every sample by a network that has not seen it."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.device import default_device
from convnet.errors import RecipeError
from convnet.recipes import Recipe, override, task_of
from convnet.runs import as_file_name
from convnet.settings import settings
from convnet.tasks import Score
from convnet.training import Listener
from convnet.workflows.run import Run
from convnet.workflows.train import require_buildable, resolve_environment, train_or_resume


@dataclass(frozen=True)
class CrossValidation:
    """The run of each fold, its figures and their mean, and the file of all predictions."""

    runs: Sequence[Run]
    summary: dict[str, Any]
    predictions: Path
    score: Score


def cross_validate(
    recipe: Recipe,
    folds: int,
    *,
    out: Path | None = None,
    listeners: Sequence[Listener] = (),
) -> CrossValidation:
    """Train on all folds but one, for each in turn, and test on that one.

    `out` (default: runs/NAME-FOLDS-folds) gets a run per fold, `folds.json` with mean and standard deviation
    of every figure, and `predictions.csv`, in which every sample stands once. Folds that are there already
    are taken over: interrupted cross-validation continues where it was.

    Raises:
        RecipeError: the recipe names shares or a fold of its own.
        ConvnetError: as `train`.
    """
    if recipe.split.folds is not None:
        raise RecipeError("split.folds is set already; leave it to --folds")
    folder = (out or Path("runs") / f"{as_file_name(recipe.name)}-{folds}-folds").absolute()
    recipe = resolve_environment(recipe, settings().device or default_device(), folder)
    planned = [override(recipe, {"split.folds": folds, "split.fold": fold}) for fold in range(folds)]
    require_buildable(planned[0])
    runs = [
        train_or_resume(
            folder / f"fold-{fold}",
            chosen,
            listeners=listeners,
            label=f"fold {fold + 1} of {folds}",
        )
        for fold, chosen in enumerate(planned)
    ]
    score = task_of(recipe).score
    summary = _summary(runs)
    write_atomically(folder / "folds.json", json.dumps(summary, indent=2, ensure_ascii=False))
    write_atomically(folder / "predictions.csv", _predictions(runs))
    return CrossValidation(runs, summary, folder / "predictions.csv", score)


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean and deviation of the figures of the folds, and the figures."""
    rows = [run.result["test"] for run in runs]
    figures = [key for key, value in rows[0].items() if isinstance(value, float)]
    spread = {
        key: {
            "mean": statistics.fmean(row[key] for row in rows),
            "std": statistics.stdev(row[key] for row in rows),
        }
        for key in figures
    }
    samples = sum(row["samples"] for row in rows)
    return {**spread, "samples": samples, "folds": rows, "runs": [str(run.path) for run in runs]}


def _predictions(runs: Sequence[Run]) -> str:
    """CSV text: the test rows of all folds in the order of the samples, each with its fold."""
    rows = [
        {**row, "split": f"fold {fold}"}
        for fold, run in enumerate(runs)
        for row in csv.DictReader(io.StringIO(run.folder.read("predictions.csv")))
        if row["split"] == "test"
    ]
    rows.sort(key=lambda row: int(row["index"]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
