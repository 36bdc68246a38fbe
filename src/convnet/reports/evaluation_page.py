"""The page of an evaluation on other data: figures, confusion, mistakes, files that were left out."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.data import Dataset
from convnet.evaluation import NO_DETAILS, EvaluationDetails
from convnet.layers import Network
from convnet.reports.classifier_view import classifier_view, paths_of
from convnet.reports.dense_figures import dense_pictures
from convnet.reports.html import render
from convnet.tasks import ClassificationResult, Evaluation, Task


@dataclass(frozen=True)
class EvaluationPage:
    """The content of an evaluation's folder.

    Attributes:
        figures: The metrics, for evaluation.json and the page.
        predictions: The text of predictions.csv.
        evaluation: The predictions.
        dataset: The evaluated data.
        classes: The classes of the run.
        task: The run's task.
        model: Its network.
        details: What was measured beside the metrics.
    """

    figures: dict[str, Any]
    predictions: str
    evaluation: Evaluation
    dataset: Dataset
    classes: tuple[str, ...]
    task: Task
    model: Network
    details: EvaluationDetails = NO_DETAILS

    def write(self, folder: Path) -> Path:
        """Write evaluation.json, predictions.csv and evaluation.html.

        Args:
            folder: The folder; created if it does not exist.

        Returns:
            The path of the page.

        Raises:
            RunError: The folder is not writable.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / "evaluation.json", json.dumps(self.figures, indent=2, ensure_ascii=False) + "\n"
        )
        write_atomically(folder / "predictions.csv", self.predictions)
        page = folder / "evaluation.html"
        write_atomically(page, self._html())
        return page

    def _html(self) -> str:
        rows = list(csv.DictReader(io.StringIO(self.predictions, newline="")))
        pictures = dict(dense_pictures(self.task, self.model, self.dataset, rows))
        view = None
        if isinstance(self.evaluation, ClassificationResult):
            paths = paths_of(self.evaluation, self.dataset)
            name = self.dataset.info.name
            view = classifier_view(self.evaluation, self.classes, name, paths, self.dataset, self.details)
        scores = self.evaluation.scores()
        overall = {key: value for key, value in scores.items() if not isinstance(value, dict)}
        by_class = {key: value for key, value in scores.items() if isinstance(value, dict)}
        return render(
            "evaluation.html",
            figures=self.figures,
            score=self.task.score,
            value=self.evaluation.score,
            interval=self.evaluation.intervals().get(self.task.score.key),
            overall=overall,
            by_class=by_class,
            classes=self.classes,
            maps=[content for name, content in pictures.items() if name.startswith("maps")],
            view=view,
        )
