"""k-fold cross-validation: k runs and an out-of-fold prediction for every sample."""

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
from convnet.training import Listener, labeled
from convnet.workflows.run import Run
from convnet.workflows.train import require_buildable, resolve_environment, train_or_resume


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation.

    Attributes:
        runs: One run per fold.
        summary: The metrics of each fold, their means and standard deviations.
        predictions: The path of the CSV file of all out-of-fold predictions.
        score: The main metric.
    """

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
    """Train once per fold on all other folds and test on that fold.

    Finished folds are reused, so interrupted cross-validation continues where it stopped.

    Args:
        recipe: The recipe of every fold.
        folds: The number of folds.
        out: The folder of the runs, `folds.json` (metrics) and `predictions.csv` (one row per sample).
            Default: runs/NAME-FOLDS-folds.
        listeners: Callables that receive every event.

    Returns:
        The runs, the metrics and the path of the predictions.

    Raises:
        RecipeError: The recipe sets `split.folds` itself.
        ConvnetError: As for `train`.
    """
    if recipe.split.folds is not None:
        raise RecipeError("split.folds is already set; use --folds instead")
    folder = (out or Path("runs") / f"{as_file_name(recipe.name)}-{folds}-folds").absolute()
    recipe = resolve_environment(recipe, settings().device or default_device(), folder)
    first = require_buildable(override(recipe, {"split.folds": folds, "split.fold": 0}))[0]
    planned = [override(first, {"split.fold": fold}) for fold in range(folds)]
    runs = [
        train_or_resume(
            folder / f"fold-{fold}",
            chosen,
            listeners=labeled(listeners, f"fold {fold + 1} of {folds}"),
        )
        for fold, chosen in enumerate(planned)
    ]
    score = task_of(recipe).score
    summary = _summary(runs)
    write_atomically(folder / "folds.json", json.dumps(summary, indent=2, ensure_ascii=False))
    write_atomically(folder / "predictions.csv", _predictions(runs))
    return CrossValidation(runs, summary, folder / "predictions.csv", score)


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    """The metrics of the folds, their means and standard deviations."""
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
