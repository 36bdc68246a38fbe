"""The page of a run, `report.html`, and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from convnet.data import Dataset, ImageDataset, Loader, Split, all_images, read_split
from convnet.errors import ConvnetError
from convnet.evaluation import EvaluationDetails
from convnet.layers import Network
from convnet.outputs import Calibration
from convnet.recipes import Recipe
from convnet.reports import figures, series_figure
from convnet.reports.classifier_view import ClassifierView, classifier_view
from convnet.reports.dense_figures import dense_pictures
from convnet.reports.grids import differing, pictures, resized
from convnet.reports.html import render, suffix_of
from convnet.reports.plane_figure import Panel, plane_figure
from convnet.reports.stored_predictions import prediction_rows, stored_evaluation
from convnet.reports.style import shortened, to_png, to_svg
from convnet.reports.thumbnails import Tile, picture_uri
from convnet.reports.weight_figures import weight_figures
from convnet.runs import Baselines, MetricsLog, RunFolder, StepLog
from convnet.tasks import Task, as_picture

CURVES = "curve-"
"""The names of training curves begin with it."""
SAMPLES_OF, EVIDENCE = "samples-", "evidence-"
"""The names of charts of training samples and of evidence begin with these."""
LEARNED = ("templates", "codebook", "hog", "neighbors", "regions")
SAMPLES = 20
RESIZED = 8


class Gallery(NamedTuple):
    """Small pictures with a title."""

    title: str
    tiles: list[Tile]


def write_run_report(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    result: dict[str, Any],
    model: Network,
    dataset: Dataset | None,
    baselines: Baselines | str | None,
    details: EvaluationDetails | None = None,
) -> Path:
    """Write `report.html` and the figures of `figures/`.

    Args:
        folder: The run folder.
        recipe: Its recipe.
        task: Its task.
        result: The content of result.json.
        model: The trained network.
        dataset: The data; without it the page has no pictures of samples.
        baselines: The baselines on the same split, or the command that measures them; None where
            they do not apply.
        details: What was measured beside the metrics; None for a page that is written quickly.

    Returns:
        The path of the page.

    Raises:
        RunError: The folder is damaged or not writable.
    """
    data = folder.data
    held_out = "test" if result["test"] else "val" if result["val"] else None
    dataset = _unchanged(folder, dataset)
    predictions = prediction_rows(folder, task, data["classes"], dataset, held_out) if held_out else []
    drawn = dict(_curves(folder, task, result))
    galleries: list[Gallery] = []
    view = None
    if held_out and task.target.exclusive:
        view = _classifier(folder, result, predictions, dataset, details)
        drawn |= view.pictures if view else {}
    if dataset is not None:
        split = read_split(folder.read("split.csv"), dataset, folder.file("split.csv"))
        if dataset.info.modality == "series":
            drawn |= dict(_series(task, model, dataset, split, predictions))
        else:
            drawn |= dict(_learned(task, model, dataset, split))
            drawn |= dict(dense_pictures(task, model, dataset, predictions))
        if dataset.info.modality == "images":
            galleries = list(_galleries(recipe, task, dataset, split))
    folder.file("figures").mkdir(exist_ok=True)
    for name, content in drawn.items():
        folder.write(f"figures/{name}.{suffix_of(content)}", content)
    own = (result["test"] or result["val"] or {}).get("accuracy", 0.0)
    metrics = MetricsLog(folder.file("metrics.csv"), task.score.key)
    page = render(
        "run.html",
        recipe=recipe,
        recipe_yaml=recipe.to_yaml(),
        result=result,
        data=data,
        held_out=held_out,
        task=task,
        epochs=metrics.rows,
        scores=_tables(result),
        view=view,
        galleries=galleries,
        environment=folder.environment,
        changes=folder.changes,
        pictures=drawn,
        curves=[(name, content) for name, content in drawn.items() if name.startswith(CURVES)],
        samples=[(name, content) for name, content in drawn.items() if name.startswith(SAMPLES_OF)],
        evidence=[(name, content) for name, content in drawn.items() if name.startswith(EVIDENCE)],
        weight_pictures=[content for name, content in drawn.items() if name.startswith(LEARNED)],
        table=bool(data.get("columns")),
        maps=[content for name, content in drawn.items() if name.startswith("maps")],
        baselines_command=baselines if isinstance(baselines, str) else None,
        baseline_rows=baselines.ranked(own) if isinstance(baselines, Baselines) else [],
    )
    folder.write("report.html", page)
    return folder.file("report.html")


def _classifier(
    folder: RunFolder,
    result: dict[str, Any],
    rows: list[dict[str, str]],
    dataset: Dataset | None,
    details: EvaluationDetails | None,
) -> ClassifierView | None:
    """What the page shows of a classifier's predictions; None if their probabilities are not stored."""
    classes = folder.data["classes"]
    evaluation = stored_evaluation(folder, rows[0]["split"], rows, classes)
    if evaluation is None:
        return None
    if (calibration := result.get("calibration")) is not None:
        evaluation = evaluation.with_calibration(Calibration.from_dict(calibration))
    where = f"the {'test' if result['test'] else 'validation'} split"
    return classifier_view(evaluation, classes, where, [row["sample"] for row in rows], dataset, details)


def _unchanged(folder: RunFolder, dataset: Dataset | None) -> Dataset | None:
    """The dataset if it is unchanged since the run; None otherwise."""
    try:
        if dataset is not None and list(dataset.info.columns) != folder.data.get("columns", []):
            return None
        if dataset is not None:
            read_split(folder.read("split.csv"), dataset, folder.file("split.csv"))
    except ConvnetError:
        return None
    return dataset


def _curves(folder: RunFolder, task: Task, result: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Training curves."""
    epochs = MetricsLog(folder.file("metrics.csv"), task.score.key).rows
    if epochs:
        for kind in ("loss", task.score.key):
            yield f"curve-{kind}", to_svg(figures.curve(kind, epochs, result["test"], task.score))
    step_rows = StepLog.read(folder.file("steps.csv"))
    if step_rows:
        yield "curve-steps", to_svg(figures.step_losses(step_rows))
        yield "curve-rates", to_svg(figures.learning_rates(step_rows))


def _learned(task: Task, model: Network, dataset: Dataset, split: Split) -> Iterator[tuple[str, bytes]]:
    """Figures of weights and of tables."""
    if task.target.exclusive:
        for name, picture in weight_figures(model, dataset, split):
            yield name, to_png(picture)
    if dataset.info.modality == "table":
        for i, picture in enumerate(figures.columns(dataset)):
            yield f"{SAMPLES_OF}{i}", to_svg(picture)
        if len(dataset.info.columns) == 2:
            points = all_images(dataset).flatten(1)
            panel = Panel("Decision regions", model)
            yield "regions", to_png(plane_figure([panel], points, dataset.targets, dataset.info.classes))


def _galleries(recipe: Recipe, task: Task, dataset: Dataset, split: Split) -> Iterator[Gallery]:
    """Training images by class, by each resize policy, and as passed to the network."""
    if task.target.exclusive:
        indices = _of_each_class(dataset, split, SAMPLES)
        names = [shortened(dataset.info.classes[int(dataset.targets[i])]) for i in indices]
        shown = zip(pictures(dataset, indices), names, strict=True)
        yield Gallery("", [Tile(picture_uri(picture), name) for picture, name in shown])
    if isinstance(dataset, ImageDataset):
        some = (
            _of_each_class(dataset, split, RESIZED)
            if task.target.exclusive
            else split.train[:RESIZED].tolist()
        )
        policies = differing(resized(dataset, some), recipe.preprocess.resize)
        for policy, images in policies if len(policies) > 1 else []:
            used = ", used here" if policy == recipe.preprocess.resize else ""
            yield Gallery(f"Resized by {policy}{used}", [Tile(picture_uri(image)) for image in images])
    yield _first_batch(dataset, split, recipe, task)


def _of_each_class(dataset: Dataset, split: Split, count: int) -> list[int]:
    """The first `count` training samples, taking one of each class in turn, ordered by class."""
    targets = dataset.targets.cpu()[split.train]
    labels = targets.unique()[:count].tolist()
    columns = [split.train[(targets == label).nonzero()[:count, 0]].tolist() for label in labels]
    in_turn = [column[i] for i in range(count) for column in columns if i < len(column)]
    return sorted(in_turn[:count], key=lambda index: int(dataset.targets[index]))


def _series(
    task: Task, model: Network, dataset: Dataset, split: Split, predictions: list[dict[str, str]]
) -> Iterator[tuple[str, bytes]]:
    """Training series of each class, and evidence or predictions along time for held-out series."""
    for i, picture in enumerate(series_figure.class_series(dataset, split.train.tolist())):
        yield f"{SAMPLES_OF}{i}", to_svg(picture)
    key = "confidence" if not task.target.dense else task.score.key
    rows = sorted(predictions, key=lambda row: float(row[key]))
    if task.target.dense:
        yield "maps", to_png(series_figure.steps_figure(model.eval(), dataset, rows))
        return
    for i, picture in enumerate(series_figure.evidence(model.eval(), dataset, rows)):
        yield f"{EVIDENCE}{i}", to_svg(picture)


def _first_batch(dataset: Dataset, split: Split, recipe: Recipe, task: Task) -> Gallery:
    """The first training batch as passed to the network."""
    loader = Loader(
        dataset,
        split.train,
        recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.augment,
        transform=task.transform,
    )
    images = next(loader.epoch()).images[:SAMPLES].cpu()
    what = "augmented" if loader.augment else "not augmented"
    return Gallery(f"First batch, {what}", [Tile(picture_uri(as_picture(image))) for image in images])


def _tables(result: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the held-out splits, overall and per class."""
    splits = {
        name: result[split] for split, name in (("val", "validation"), ("test", "test")) if result[split]
    }
    held_out = result["test"] or result["val"] or {}
    overall = [key for key, value in held_out.items() if not isinstance(value, dict)]
    by_class = {key: value for key, value in held_out.items() if isinstance(value, dict)}
    return {"splits": splits, "overall": overall, "by_class": by_class}
