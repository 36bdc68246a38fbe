"""The page of predictions: thumbnails by predicted class, least confident first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from convnet.atomic import write_atomically
from convnet.prediction import InputFile
from convnet.reports.html import render
from convnet.reports.thumbnails import thumbnail
from convnet.tasks import Prediction

SHOWN = 500
"""The largest number of thumbnails on a page."""


class Shown(NamedTuple):
    """A predicted image: its path, its classes, the highest probability, and its thumbnail."""

    path: str
    classes: str
    confidence: float
    picture: str | None


def write_prediction_page(
    path: Path, run: str, predictions: Sequence[Prediction], files: Sequence[InputFile]
) -> None:
    """Write a page of predicted images.

    Args:
        path: The page to write.
        run: The name of the run.
        predictions: Predictions of classes or labels.
        files: The files that were predicted.

    Raises:
        RunError: The page cannot be written.
    """
    by_location = {file.location: file for file in files}
    rows = sorted((prediction.as_dict() for prediction in predictions), key=_confidence)
    shown = [
        Shown(
            row["image"],
            row["class"] if "class" in row else ", ".join(row["labels"]) or "no label",
            _confidence(row),
            thumbnail(by_location[row["image"]].read()) if row["image"] in by_location else None,
        )
        for row in rows[:SHOWN]
    ]
    groups: dict[str, list[Shown]] = {}
    for item in shown:
        groups.setdefault(item.classes, []).append(item)
    ordered = sorted(groups.items(), key=lambda group: group[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render("predictions.html", run=run, total=len(rows), shown=len(shown), groups=ordered)
    write_atomically(path, page)


def _confidence(row: dict[str, Any]) -> float:
    return float(max(row["probabilities"].values()))
