"""The page of predictions: thumbnails by predicted class, least confident first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.outputs import Prediction
from convnet.prediction import InputFile
from convnet.reports.html import render
from convnet.reports.thumbnails import Tile, thumbnail

SHOWN = 500
"""The largest number of thumbnails on a page."""


UNKNOWN = "unknown"
"""The heading of images that belong to none of the classes."""


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
    shown = rows[:SHOWN]
    folder = _common_folder([row["image"] for row in shown])
    groups: dict[str, list[Tile]] = {}
    for row in shown:
        place = row["image"]
        picture = thumbnail(by_location[place].read()) if place in by_location else None
        name = place.removeprefix(f"{folder}{os.sep}")
        classes = row["class"] if "class" in row else ", ".join(row["labels"]) or "no label"
        caption = f"{_confidence(row):.2%}"
        if row.get("unknown"):
            classes, caption = UNKNOWN, f"{classes} {caption}"
        groups.setdefault(classes, []).append(Tile(picture or "", caption, name))
    ordered = sorted(groups.items(), key=lambda group: group[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render(
        "predictions.html", run=run, folder=folder, total=len(rows), shown=len(shown), groups=ordered
    )
    write_atomically(path, page)


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that holds all files; empty if there is none, or a single file."""
    try:
        return os.path.commonpath(paths) if len(paths) > 1 else ""
    except ValueError:  # absolute and relative paths
        return ""


def _confidence(row: dict[str, Any]) -> float:
    return float(max(row["probabilities"].values()))
