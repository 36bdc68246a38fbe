"""Write the page of a run."""

from __future__ import annotations

from pathlib import Path

from convnet.data import Dataset
from convnet.errors import ConvnetError
from convnet.evaluation import NO_DETAILS, EvaluationDetails
from convnet.reports.run_page import write_run_report
from convnet.reports.stored_predictions import prediction_rows, stored_evaluation
from convnet.workflows.details import measure_details
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
    details = _details(run, dataset) if full else None
    return write_run_report(run.folder, run.recipe, run.task, run.result, run.model, dataset, beside, details)


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
    return measure_details(run, dataset, evaluation)
