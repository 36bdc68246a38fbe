"""The data of a run: what it was trained on, and other data in its shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from convnet.data import DATASETS, Dataset, as_path, is_table, is_there, open_data
from convnet.data.datasets.csv_table import open_table
from convnet.data.files.annotations import is_image_table
from convnet.errors import DataError
from convnet.prediction.predictor import require_fitting_series
from convnet.recipes.build import open_recipe_data
from convnet.types import IGNORED, SplitName

if TYPE_CHECKING:
    from convnet.workflows.run import Run


def open_own_data(run: Run, data_dir: Path | None = None) -> Dataset:
    """The data that the run was trained on, from where it was then or from `data_dir`.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    name = run.recipe.data.source
    if not is_there(name):
        recipe_file = run.folder.file("recipe.yaml")
        kind = "file" if is_table(name) else "folder"
        raise DataError(f"{name}: no such {kind}; if it was moved, say where to in {recipe_file}")
    recorded = run.folder.read_json("environment.json").get("data_dir")
    return open_recipe_data(run.recipe, data_dir or (Path(recorded) if recorded else None))


def open_other_data(run: Run, data: str, data_dir: Path | None) -> Dataset:
    """Other data in the run's shape, its targets renumbered to the run's classes.

    Raises:
        DataError: it cannot be read, or has classes that the run does not know.
    """
    table = is_table(data) and not run.recipe.data.series
    if bool(run.columns) != table:
        takes = f"a table with the columns {', '.join(run.columns[:9])}" if run.columns else "images"
        raise DataError(f"{data}: the run {run.path} takes {takes}")
    dataset: Dataset
    if run.columns and data not in DATASETS:
        label = run.recipe.data.label
        dataset = open_table(as_path(data), label=label, columns=run.columns)
    else:
        options = run.recipe.data
        dataset = open_data(
            data,
            run.recipe.preprocess,
            data_dir=data_dir,
            shape=run.shape,
            label=options.label if run.modality == "series" or is_image_table(as_path(data)) else None,
            reads=run.task.reads,
            series=options.series,
            colors=options.colors,
            ignore_index=options.ignore_index,
        )
    if run.task.target == "image":
        return dataset
    if run.modality == "series":
        require_fitting_series(run, dataset)
    unknown = sorted(set(dataset.classes) - set(run.classes))
    if unknown:
        raise DataError(
            f"{data}: the run does not know the classes {', '.join(unknown[:5])}; "
            f"it knows {', '.join(run.classes[:10])}"
        )
    renumber = torch.tensor([run.classes.index(name) for name in dataset.classes], dtype=torch.int64)
    if dataset.target == "labels":
        labels = dataset.targets.new_zeros((len(dataset), len(run.classes)))
        labels[:, renumber] = dataset.targets
        return dataset.with_targets(labels, run.classes)
    known = dataset.targets >= 0
    targets = torch.where(known, renumber[dataset.targets.long().clamp_min(0)], IGNORED)
    return dataset.with_targets(targets.to(dataset.targets.dtype), run.classes)


def held_out(dataset: Dataset, split: SplitName | None) -> torch.Tensor:
    """The samples of a split; unless given the test split, else the val split, else everything."""
    given = dataset.given_split
    if given is None:
        if split is not None:
            raise DataError(f"{dataset.name} has no {split} split; leave --split out to evaluate all of it")
        return torch.arange(len(dataset))
    chosen = split or next((name for name in ("test", "val") if name in given), "train")
    return torch.tensor([i for i, name in enumerate(given) if name == chosen], dtype=torch.int64)
