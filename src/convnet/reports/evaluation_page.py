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
from convnet.layers import Network
from convnet.reports.classification_figures import (
    classification_figures,
    mistake_tiles,
    most_confident_mistakes,
)
from convnet.reports.dense_figures import dense_pictures
from convnet.reports.html import render
from convnet.reports.thumbnails import Tile
from convnet.tasks import ClassificationResult, Evaluation, Task

MISTAKES = 24


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
    """

    figures: dict[str, Any]
    predictions: str
    evaluation: Evaluation
    dataset: Dataset
    classes: tuple[str, ...]
    task: Task
    model: Network

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
        mistakes = []
        tiles: list[Tile] = []
        rows = list(csv.DictReader(io.StringIO(self.predictions, newline="")))
        pictures = dict(dense_pictures(self.task, self.model, self.dataset, rows))
        if isinstance(self.evaluation, ClassificationResult):
            mistakes = most_confident_mistakes(rows)
            pictures = dict(classification_figures(self.evaluation, self.dataset.info.name, self.classes))
            if mistakes and self.dataset.info.modality == "images":
                tiles = mistake_tiles(self.dataset, mistakes[:MISTAKES])
        scores = self.evaluation.scores()
        overall = {key: value for key, value in scores.items() if not isinstance(value, dict)}
        by_class = {key: value for key, value in scores.items() if isinstance(value, dict)}
        return render(
            "evaluation.html",
            figures=self.figures,
            score=self.task.score,
            value=self.evaluation.score,
            overall=overall,
            by_class=by_class,
            classes=self.classes,
            maps=[content for name, content in pictures.items() if name.startswith("maps")],
            pictures=pictures,
            mistakes=mistakes,
            mistake_tiles=tiles,
        )
