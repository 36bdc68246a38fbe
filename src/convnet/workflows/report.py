"""Write the page of a run."""

from __future__ import annotations

from pathlib import Path

from convnet.data import Dataset
from convnet.errors import ConvnetError
from convnet.evaluation import NO_DETAILS, EvaluationDetails
from convnet.reports.run_page import write_run_report
from convnet.reports.stored_predictions import prediction_rows, stored_evaluation
from convnet.tasks import Evaluation
from convnet.types import SplitName
from convnet.workflows.details import measure_details
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.results import prediction_arrays
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data, require_unchanged


def write_report(run: Run, dataset: Dataset | None = None, *, full: bool) -> Path:
    """Write the run's page, without pictures of samples if the data is no longer available.

    Args:
        run: The run.
        dataset: Its data, if it is open.
        full: Whether to measure robustness, accuracy by image properties and the embedding map, and to draw
            all figures.

    Returns:
        The path of the page.

    Raises:
        RunError: The folder is damaged or not writable.
    """
    if dataset is None:
        try:
            dataset = open_own_data(run)
        except ConvnetError:
            dataset = None
    beside = run.baselines or run.baselines_command
    if full and dataset is not None:
        _complete(run, dataset)
    details = _details(run, dataset) if full else None
    return write_run_report(run.folder, run.recipe, run.task, run.result, run.model, dataset, beside, details)


def _complete(run: Run, dataset: Dataset) -> None:
    """Predict again for a run of an earlier version, which has stored no probabilities of all classes."""
    if not run.task.target.exclusive or run.folder.file("predictions.npz").exists():
        return
    try:
        require_unchanged(run, dataset)
    except ConvnetError:
        return
    held_out: dict[SplitName, Evaluation | None] = {
        name: evaluate_run(run, split=name).evaluation if run.result[name] else None
        for name in ("val", "test")
    }
    run.folder.write("predictions.npz", prediction_arrays(held_out))


def _details(run: Run, dataset: Dataset | None) -> EvaluationDetails:
    held_out = "test" if run.result["test"] else "val"
    if dataset is None or not run.task.target.exclusive or not run.result[held_out]:
        return NO_DETAILS
    try:
        require_unchanged(run, dataset)
    except ConvnetError:
        return NO_DETAILS
    classes = list(run.classes)
    rows = prediction_rows(run.folder, run.task, classes, dataset, held_out)
    evaluation = stored_evaluation(run.folder, held_out, rows, classes)
    return NO_DETAILS if evaluation is None else measure_details(run, dataset, evaluation)
