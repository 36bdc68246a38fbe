"""What a page shows of a classifier's predictions: figures, confused classes, noteworthy samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convnet.data import Dataset, location
from convnet.evaluation import NO_DETAILS, EvaluationDetails
from convnet.reports import figures, grids, trust_figures
from convnet.reports.style import to_png, to_svg
from convnet.reports.thumbnails import Tile, picture_uri
from convnet.tasks import ClassificationResult

TILES = 24
"""The largest number of samples in a gallery."""
LISTED = 100
"""The largest number of samples in a table."""
PAIRS = 10
"""The largest number of pairs of confused classes."""
EXAMPLES = 4
"""Example images of a pair."""
CHANGES = 24
"""The largest number of pictures of samples on which two runs differ."""


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of one class that are predicted as another.

    Attributes:
        label: The class.
        predicted: The predicted class.
        count: The number of samples.
        share: The fraction of the samples of the class.
        tiles: Examples.
    """

    label: str
    predicted: str
    count: int
    share: float
    tiles: list[Tile]


@dataclass(frozen=True)
class NotableSamples:
    """Samples that are worth a look.

    Attributes:
        title: What they have in common.
        note: How they were chosen.
        tiles: Their pictures; empty for other data than images.
        rows: Their paths, classes, predictions, confidences and losses.
        total: The number of samples that qualify.
        mistakes: Whether they are the misclassified ones.
    """

    title: str
    note: str
    tiles: list[Tile]
    rows: list[dict[str, Any]]
    total: int
    mistakes: bool


@dataclass(frozen=True)
class ClassifierView:
    """The content of a page about a classifier's predictions.

    Attributes:
        where: What was predicted: "the test split".
        noun: What the samples are called.
        figures: Metrics with intervals, as in JSON.
        classes: The class names.
        pictures: Figures by name.
        pairs: The most confused pairs of classes.
        notable: Misclassified samples, those with the highest loss, the least certain ones.
        details: What was measured beside the metrics.
        changes: Pictures of samples on which two runs differ.
    """

    where: str
    noun: str
    figures: dict[str, Any]
    classes: Sequence[str]
    pictures: dict[str, bytes]
    pairs: list[ConfusedPair]
    notable: list[NotableSamples]
    details: EvaluationDetails
    changes: list[Tile] = field(default_factory=list)


def classifier_view(
    evaluation: ClassificationResult,
    classes: Sequence[str],
    where: str,
    paths: Sequence[str],
    dataset: Dataset | None,
    details: EvaluationDetails | None,
) -> ClassifierView:
    """Everything that a page shows of a classifier's predictions.

    Args:
        evaluation: The predictions.
        classes: The class names.
        where: What was predicted, for titles: "the test split".
        paths: The paths of the samples, in the order of the predictions.
        dataset: The data; without it there are no pictures of samples.
        details: What was measured beside the metrics. Without it, only what is drawn quickly is shown.
    """
    pictures = dict(_pictures(evaluation, classes, where, details))
    details = details or NO_DETAILS
    images = dataset if dataset is not None and dataset.info.modality == "images" else None
    place = {index: i for i, index in enumerate(evaluation.indices.tolist())}
    changed = details.against.changes[:CHANGES] if details.against else []
    return ClassifierView(
        where,
        "images" if images is not None else "samples",
        {
            "samples": len(evaluation),
            **evaluation.scores(),
            **{f"{name}_interval": ends for name, ends in evaluation.intervals().items()},
            **evaluation.details(classes),
        },
        classes,
        pictures,
        list(_confused_pairs(evaluation, classes, images)),
        list(_notable(evaluation, classes, paths, images)),
        details,
        _tiles(evaluation, classes, images, [place[change.index] for change in changed]),
    )


def _pictures(
    evaluation: ClassificationResult, classes: Sequence[str], where: str, details: EvaluationDetails | None
) -> Iterator[tuple[str, bytes]]:
    counts = evaluation.confusion()
    title = f"Confusion on {where} (n = {len(evaluation.targets):,})"
    yield "confusion", to_svg(figures.confusion(counts, classes, title))
    yield "reliability", to_svg(trust_figures.reliability_diagram(evaluation))
    if details is None and len(classes) > 2:
        return
    if (curves := trust_figures.ranking_curves(evaluation, classes)) is not None:
        yield "roc", to_svg(curves[0])
        yield "precision-recall", to_svg(curves[1])
    if details is None:
        return
    percent = figures.confusion(counts, classes, f"{title}, in percent of the true class", normalized=True)
    yield "confusion-percent", to_svg(percent)
    yield "confidence", to_svg(trust_figures.confidence_histogram(evaluation))
    if (coverage := trust_figures.coverage_curve(evaluation)) is not None:
        yield "coverage", to_svg(coverage)
    if details.robustness:
        yield "robustness", to_svg(trust_figures.robustness_chart(details.robustness))
    if details.embeddings is not None:
        for name, chart in trust_figures.embedding_charts(details.embeddings, classes):
            yield f"embeddings-{name}", to_png(chart)


def _confused_pairs(
    evaluation: ClassificationResult, classes: Sequence[str], dataset: Dataset | None
) -> Iterator[ConfusedPair]:
    """The off-diagonal cells with the largest counts, with their most confident samples."""
    counts = evaluation.confusion()
    support = counts.sum(1)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS].tolist():
        true, predicted = divmod(cell, len(classes))
        if not (count := int(wrong[true, predicted])):
            return
        there = ((evaluation.targets == true) & (evaluation.predicted == predicted)).nonzero()[:, 0]
        surest = there[evaluation.probabilities[there, predicted].argsort(descending=True)][:EXAMPLES]
        tiles = _tiles(evaluation, classes, dataset, surest.tolist())
        share = count / int(support[true])
        yield ConfusedPair(classes[true], classes[predicted], count, share, tiles)


def _notable(
    evaluation: ClassificationResult, classes: Sequence[str], paths: Sequence[str], dataset: Dataset | None
) -> Iterator[NotableSamples]:
    confidence = evaluation.probabilities.amax(1)
    wrong = (evaluation.predicted != evaluation.targets).nonzero()[:, 0]
    own = evaluation.probabilities.gather(1, evaluation.targets[:, None])[:, 0]
    two = evaluation.probabilities.topk(min(2, len(classes)), 1).values
    noun = "images" if dataset is not None else "samples"
    sure = wrong[confidence[wrong].argsort(descending=True, stable=True)]
    close = (two[:, 0] - two[:, -1]).argsort(stable=True)
    orders = (
        (f"Misclassified {noun}", "Most confident first.", sure),
        (f"{noun.capitalize()} with the highest loss", "Highest loss first.", own.argsort(stable=True)),
        (f"Least certain {noun}", "The two most probable classes are closest.", close),
    )
    for title, note, order in orders:
        mistakes = order is sure
        rows = [_row(evaluation, classes, paths, i) for i in order[: LISTED if mistakes else TILES].tolist()]
        tiles = _tiles(evaluation, classes, dataset, order[:TILES].tolist())
        yield NotableSamples(title, note, tiles, rows, len(order), mistakes)


def _row(
    evaluation: ClassificationResult, classes: Sequence[str], paths: Sequence[str], i: int
) -> dict[str, Any]:
    own = float(evaluation.probabilities[i, evaluation.targets[i]])
    return {
        "path": paths[i],
        "label": classes[int(evaluation.targets[i])],
        "predicted": classes[int(evaluation.predicted[i])],
        "confidence": float(evaluation.probabilities[i].amax()),
        "own": own,
    }


def _tiles(
    evaluation: ClassificationResult, classes: Sequence[str], dataset: Dataset | None, chosen: Sequence[int]
) -> list[Tile]:
    """Pictures of samples with their true and predicted classes; none where there are no images."""
    if dataset is None or not chosen:
        return []
    indices = [int(evaluation.indices[i]) for i in chosen]
    found = []
    for i, index, picture in zip(chosen, indices, grids.pictures(dataset, indices), strict=True):
        true, predicted = classes[int(evaluation.targets[i])], classes[int(evaluation.predicted[i])]
        caption = true if true == predicted else f"{true} → {predicted}"
        detail = f"{float(evaluation.probabilities[i].amax()):.1%}"
        found.append(Tile(picture_uri(picture), caption, detail, location(dataset, index)))
    return found


def paths_of(evaluation: ClassificationResult, dataset: Dataset) -> list[str]:
    """The paths of the predicted samples."""
    return [location(dataset, i) for i in evaluation.indices.tolist()]
