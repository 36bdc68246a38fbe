"""Figures of a classifier's predictions: confusion matrix, ROC curve, mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from convnet.data import Dataset
from convnet.reports import figures, grids
from convnet.reports.style import shortened, to_svg
from convnet.reports.thumbnails import Tile, picture_uri
from convnet.tasks import ClassificationResult

Row = Mapping[str, str]
"""A row of predictions.csv."""


def classification_figures(
    evaluation: ClassificationResult, where: str, classes: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """The confusion matrix and, for two classes, the ROC curve.

    Args:
        evaluation: The predictions.
        where: What was predicted, for the title: "the test split".
        classes: The class names.
    """
    title = f"Confusion on {where} (n = {len(evaluation.targets):,})"
    yield "confusion", to_svg(figures.confusion(evaluation.confusion(), classes, title))
    if (curve := evaluation.roc()) is not None:
        yield "roc", to_svg(figures.roc(*curve, classes[1]))


def most_confident_mistakes(rows: Sequence[Row]) -> list[Row]:
    """The rows with a wrong class, most confident first."""
    wrong = (row for row in rows if row["class"] != row["predicted"])
    return sorted(wrong, key=lambda row: -float(row["confidence"]))


def mistake_tiles(dataset: Dataset, mistakes: Sequence[Row]) -> list[Tile]:
    """The misclassified samples with their true and predicted classes."""
    pictures = grids.pictures(dataset, [int(row["index"]) for row in mistakes])
    return [
        Tile(
            picture_uri(picture),
            f"{shortened(row['class'])} → {shortened(row['predicted'])}",
            f"{float(row['confidence']):.1%}",
        )
        for picture, row in zip(pictures, mistakes, strict=True)
    ]
