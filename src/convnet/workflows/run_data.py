"""The data of a run: the data it was trained on, and other data in the same shape."""

from __future__ import annotations

from pathlib import Path

import torch

from convnet.data import Dataset, exists, identify, open_spec, with_targets
from convnet.data.datasets.adapters import as_dataset
from convnet.data.datasets.csv_table import open_table
from convnet.errors import DataError
from convnet.prediction import require_fitting_series
from convnet.recipes.build import open_recipe_data
from convnet.settings import settings, use_settings
from convnet.types import SplitName
from convnet.workflows.run_info import RunInfo


def open_own_data(run: RunInfo) -> Dataset:
    """Open the data that the run was trained on, at its recorded path or in the settings' data folder.

    Raises:
        DataError: The data is missing or cannot be read.
    """
    name = run.recipe.data.source
    if run.data.get("opened"):
        raise DataError(
            f"{name}: the run {run.path} was trained on a data set opened in Python; pass it again, e.g. "
            "run.evaluate(dataset)"
        )
    if not exists(name):
        recipe_file = run.folder.file("recipe.yaml")
        kind = "file" if Path(name).suffix else "folder"
        raise DataError(f"{name}: no such {kind}; if it was moved, write its new path into {recipe_file}")
    recorded = run.folder.read_json("environment.json").get("data_dir")
    with use_settings(data_dir=settings().data_dir or recorded):
        return open_recipe_data(run.recipe)


def open_other_data(run: RunInfo, data: object) -> Dataset:
    """Open other data in the run's shape, with its targets renumbered to the run's classes.

    Args:
        run: The run.
        data: A path, the name of a data set, or data in memory, see `as_dataset`.

    Raises:
        DataError: The data cannot be read, or has classes that the run does not know.
    """
    if not isinstance(data, (str, Path)):
        size = {"image_size": run.shape.height, "channels": run.shape.channels}
        return in_classes_of(run, as_dataset(data, run.recipe.preprocess.model_copy(update=size)))
    options = run.recipe.data
    spec = identify(str(data))
    table = spec.modality == "table" and not options.series
    if bool(run.columns) != table:
        takes = f"a table with the columns {', '.join(run.columns[:9])}" if run.columns else "images"
        raise DataError(f"{data}: the run {run.path} takes {takes}")
    if table and not spec.named:
        return in_classes_of(run, open_table(spec.file, label=options.label, columns=run.columns))
    keeps_label = run.modality == "series" or spec.kind == "image table"
    reading = options.model_copy(
        update={
            "source": spec.source,
            "ignore": (),
            "classes": None,
            "label": options.label if keeps_label else None,
        }
    )
    dataset = open_spec(spec, reading, run.recipe.preprocess, run.task.annotation, run.shape)
    return in_classes_of(run, dataset)


def in_classes_of(run: RunInfo, dataset: Dataset) -> Dataset:
    """The dataset with its classes renumbered to those of the run.

    Raises:
        DataError: It has classes that the run does not know, or series that its network cannot take.
    """
    info = dataset.info
    if not run.task.target.has_classes:
        return dataset
    if run.modality == "series":
        require_fitting_series(run.inputs, dataset)
    unknown = sorted(set(info.classes) - set(run.classes))
    if unknown:
        raise DataError(
            f"{info.name}: unknown classes {', '.join(unknown[:5])}; "
            f"the run has {', '.join(run.classes[:10])}"
        )
    numbers = torch.tensor([run.classes.index(name) for name in info.classes], dtype=torch.int64)
    targets = info.target.renumber(dataset.targets, numbers, len(run.classes))
    return with_targets(dataset, targets, run.classes)


def held_out(dataset: Dataset, split: SplitName | None) -> torch.Tensor:
    """The indices of a split. Default: the test split, else the validation split, else all samples."""
    given = dataset.info.given_split
    if given is None:
        if split is not None:
            raise DataError(
                f"{dataset.info.name} has no {split} split; leave --split out to evaluate all of it"
            )
        return torch.arange(len(dataset))
    chosen = split or next((name for name in ("test", "val") if name in given), "train")
    return torch.tensor([i for i, name in enumerate(given) if name == chosen], dtype=torch.int64)
