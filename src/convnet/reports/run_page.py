"""The page of a run, `report.html`, and its figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from convnet.data import Dataset, ImageDataset, Loader, Split, all_images, read_split
from convnet.errors import ConvnetError, RunError, in_one_line
from convnet.layers import Network
from convnet.recipes import Recipe
from convnet.reports import figures, grids, series_figure
from convnet.reports.classification_figures import (
    Row,
    classification_figures,
    mistakes_figure,
    most_confident_mistakes,
)
from convnet.reports.dense_figures import dense_pictures
from convnet.reports.grids import resized, resized_figure
from convnet.reports.html import render
from convnet.reports.plane_figure import Panel, plane_figure
from convnet.reports.style import shortened, to_png
from convnet.reports.weight_figures import weight_figures
from convnet.runs import Baselines, MetricsLog, RunFolder, StepLog
from convnet.tasks import ClassificationResult, Task, as_picture

LEARNED = ("evidence", "templates", "codebook", "hog", "neighbors", "regions")
MISTAKES = 24
SAMPLE_COLUMNS = 10
RESIZED = 8


def write_run_report(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    result: dict[str, Any],
    model: Network,
    dataset: Dataset | None,
    baselines: Baselines | str | None,
) -> Path:
    """Write `report.html` and `figures/*.png`.

    Args:
        folder: The run folder.
        recipe: Its recipe.
        task: Its task.
        result: The content of result.json.
        model: The trained network.
        dataset: The data; without it the page has no pictures of samples.
        baselines: The baselines on the same split, or the command that measures them; None where
            they do not apply.

    Returns:
        The path of the page.

    Raises:
        RunError: The folder is damaged or not writable.
    """
    data = folder.data
    held_out = "test" if result["test"] else "val" if result["val"] else None
    dataset = _unchanged(folder, dataset)
    rows = _predictions(folder, task, data["classes"], dataset)
    predictions = [row for row in rows if row["split"] == held_out]
    classified = task.target.exclusive
    evaluation = (
        _evaluation(folder, held_out, predictions, data["classes"]) if held_out and classified else None
    )
    mistakes = most_confident_mistakes(predictions) if classified else []
    pictures = dict(_curves(folder, task, result))
    if evaluation is not None:
        which = "test" if result["test"] else "validation"
        pictures |= dict(classification_figures(evaluation, f"the {which} split", data["classes"]))
    if dataset is not None:
        split = read_split(folder.read("split.csv"), dataset)
        if dataset.info.modality == "series":
            pictures |= dict(_series(task, model, dataset, split, predictions))
        else:
            pictures |= dict(_samples(recipe, task, model, dataset, split, mistakes))
            pictures |= dict(dense_pictures(task, model, dataset, predictions))
    folder.file("figures").mkdir(exist_ok=True)
    for name, content in pictures.items():
        folder.write(f"figures/{name}.png", content)
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
        per_class=list(zip(data["classes"], evaluation.per_class(), strict=True)) if evaluation else [],
        mistakes=mistakes[:MISTAKES],
        mistake_count=len(mistakes),
        environment=folder.environment,
        pictures=pictures,
        weight_pictures=[content for name, content in pictures.items() if name.startswith(LEARNED)],
        table=bool(data.get("columns")),
        maps=[content for name, content in pictures.items() if name.startswith("maps")],
        baselines_command=baselines if isinstance(baselines, str) else None,
        baseline_rows=baselines.ranked(own) if isinstance(baselines, Baselines) else [],
    )
    folder.write("report.html", page)
    return folder.file("report.html")


def _unchanged(folder: RunFolder, dataset: Dataset | None) -> Dataset | None:
    """The dataset if it is unchanged since the run; None otherwise."""
    try:
        if dataset is not None:
            read_split(folder.read("split.csv"), dataset)
    except ConvnetError:
        return None
    return dataset


def _curves(folder: RunFolder, task: Task, result: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Training curves."""
    epochs = MetricsLog(folder.file("metrics.csv"), task.score.key).rows
    if epochs:
        yield "curves", to_png(figures.curves(epochs, result["test"], task.score))
    step_rows = StepLog.read(folder.file("steps.csv"))
    if step_rows:
        yield "steps", to_png(figures.steps(step_rows))


def _samples(
    recipe: Recipe,
    task: Task,
    model: Network,
    dataset: Dataset,
    split: Split,
    mistakes: Sequence[Row],
) -> Iterator[tuple[str, bytes]]:
    """Figures of weights, training images, augmentation and mistakes."""
    if task.target.exclusive:
        for name, picture in weight_figures(model, dataset, split):
            yield name, to_png(picture)
    if dataset.info.modality == "table":
        yield "samples", to_png(figures.columns(dataset))
        if len(dataset.info.columns) == 2:
            points = all_images(dataset).flatten(1)
            panel = Panel("Decision regions", model)
            yield "regions", to_png(plane_figure([panel], points, dataset.targets, dataset.info.classes))
        return
    if task.target.exclusive:
        yield "samples", to_png(_sample_figure(dataset, split))
    if isinstance(dataset, ImageDataset):
        columns = resized(dataset, split.train[:RESIZED].tolist())
        if columns:
            yield "resized", to_png(resized_figure(columns, recipe.preprocess.resize))
    yield "augmented", to_png(_augmented_figure(dataset, split, recipe, task))
    if mistakes:
        yield "mistakes", to_png(mistakes_figure(dataset, mistakes[:MISTAKES]))


def _series(
    task: Task, model: Network, dataset: Dataset, split: Split, predictions: list[dict[str, str]]
) -> Iterator[tuple[str, bytes]]:
    """Training series of each class, and evidence or predictions along time for held-out series."""
    yield "samples", to_png(series_figure.class_series(dataset, split.train.tolist()))
    key = "confidence" if not task.target.dense else task.score.key
    rows = sorted(predictions, key=lambda row: float(row[key]))
    if task.target.dense:
        yield "maps", to_png(series_figure.steps_figure(model.eval(), dataset, rows))
    elif (picture := series_figure.evidence_figure(model.eval(), dataset, rows)) is not None:
        yield "evidence", to_png(picture)


def _sample_figure(dataset: Dataset, split: Split) -> Figure:
    """The first training images of each class, a column per class, for up to ten classes."""
    shown = list(range(min(SAMPLE_COLUMNS, len(dataset.info.classes))))
    targets = dataset.targets.cpu()[split.train]
    rows = 3
    columns = [split.train[(targets == label).nonzero()[:rows, 0]].tolist() for label in shown]
    indices = [column[i % len(column)] for i in range(rows) for column in columns if column]
    captions = [
        shortened(dataset.info.classes[int(dataset.targets[i])]) if n < len(shown) else ""
        for n, i in enumerate(indices)
    ]
    width = len([column for column in columns if column])
    return grids.image_grid(grids.pictures(dataset, indices), captions, width, "Training images")


def _augmented_figure(dataset: Dataset, split: Split, recipe: Recipe, task: Task) -> Figure:
    """The first training batch as passed to the network."""
    loader = Loader(
        dataset,
        split.train,
        recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.augment,
        transform=task.transform,
    )
    images = next(loader.epoch()).images[: 2 * SAMPLE_COLUMNS].cpu()
    what = "augmented" if loader.augment else "not augmented"
    return grids.image_grid(
        [as_picture(image) for image in images],
        [""] * len(images),
        SAMPLE_COLUMNS,
        f"First batch, {what}",
    )


def _predictions(
    folder: RunFolder, task: Task, classes: Sequence[str], dataset: Dataset | None
) -> list[dict[str, str]]:
    """The rows of predictions.csv.

    Raises:
        RunError: The file is damaged.
    """
    file = folder.file("predictions.csv")
    numbers = ["index"] + (["confidence", "class_probability"] if task.target.exclusive else [])
    try:
        rows = list(csv.DictReader(io.StringIO(folder.read("predictions.csv"), newline=""), strict=True))
        for row in rows:
            values = [float(row[name]) for name in numbers]
            if not all(map(math.isfinite, values)) or {row["split"]} - {"val", "test"} or None in row:
                raise ValueError(f"the row of sample {row['index']}")
            if task.target.exclusive and not {row["class"], row["predicted"]} <= {*classes}:
                raise ValueError(f"sample {row['index']} has a class that the run does not know")
            if task.target.dense and row[task.score.key]:
                float(row[task.score.key])
            index = int(row["index"])
            if index < 0 or (dataset is not None and index >= len(dataset)):
                raise ValueError(f"the data has no sample {index}")
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{file}: damaged: {in_one_line(error)}; train the run again") from error
    return rows


def _tables(result: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the held-out splits, overall and per class."""
    splits = {
        name: result[split] for split, name in (("val", "validation"), ("test", "test")) if result[split]
    }
    held_out = result["test"] or result["val"] or {}
    overall = [key for key, value in held_out.items() if not isinstance(value, dict)]
    by_class = {key: value for key, value in held_out.items() if isinstance(value, dict)}
    return {"splits": splits, "overall": overall, "by_class": by_class}


def _evaluation(
    folder: RunFolder, split: str, rows: list[dict[str, str]], classes: list[str]
) -> ClassificationResult:
    """The predictions on a split from predictions.npz, or from predictions.csv of earlier runs."""
    file = folder.file("predictions.npz")
    if not file.exists():
        return _from_table(rows, classes)
    try:
        with file.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
            logits, targets, indices = (
                torch.from_numpy(arrays[f"{split}_{name}"]) for name in ("logits", "targets", "indices")
            )
            if logits.shape != (len(targets), len(classes)) or not len(targets) == len(indices) > 0:
                raise ValueError(
                    f"{split} has arrays of shapes {tuple(logits.shape)} and {tuple(targets.shape)}"
                )
            if not 0 <= int(targets.min()) <= int(targets.max()) < len(classes):
                raise ValueError(f"{split} has targets that are no classes")
    except Exception as error:  # zip, zlib and NumPy raise nearly anything
        raise RunError(f"{file}: damaged: {in_one_line(error)}; train the run again") from error
    return ClassificationResult(0.0, logits, targets, indices)


def _from_table(rows: list[dict[str, str]], classes: list[str]) -> ClassificationResult:
    """Predictions from the table: one-hot, or with probabilities for two classes, as the ROC needs."""
    number = {name: i for i, name in enumerate(classes)}
    predicted = torch.tensor([number[row["predicted"]] for row in rows])
    targets = torch.tensor([number[row["class"]] for row in rows])
    indices = torch.tensor([int(row["index"]) for row in rows])
    probabilities = torch.nn.functional.one_hot(predicted, len(classes)).float()
    if len(classes) == 2:
        own = torch.tensor([float(row["class_probability"]) for row in rows])
        second = torch.where(targets == 1, own, 1 - own)
        # The table is rounded to six digits, so a tie may have lost its winner.
        second = torch.where((predicted == 1) & (second == 0.5), 0.5 + 1e-6, second)
        probabilities = torch.stack([1 - second, second], 1)
    return ClassificationResult(0.0, probabilities.clamp_min(1e-12).log(), targets, indices)
