"""The data of a run: the data it was trained on, and other data in the same shape."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convnet.data import (
    Dataset,
    DataSpec,
    Split,
    all_images,
    exists,
    identify,
    identify_source,
    location,
    open_spec,
    with_targets,
)
from convnet.data.datasets.adapters import as_dataset
from convnet.data.datasets.csv_table import open_table
from convnet.data.datasets.dataset import select_classes
from convnet.data.datasets.open import has_label_columns
from convnet.data.datasets.tensor_dataset import with_checksums
from convnet.data.files.manifest import other_case
from convnet.data.files.recordings import Audio, holds_recordings
from convnet.data.splits.split_file import split_rows
from convnet.errors import DataError, RunError, in_one_line
from convnet.prediction import require_fitting_series
from convnet.recipes import Recipe, override
from convnet.recipes.build import open_recipe_data
from convnet.recipes.network import network_shape, task_of
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
    recorded = run.folder.environment.get("data_dir")
    with use_settings(data_dir=settings().data_dir or recorded):
        spec = identify_source(name)
        return open_recipe_data(override(run.recipe, {"data.audio": _audio(run, spec)}), spec)


def open_other_data(run: RunInfo, data: object, label: str | None = None) -> Dataset:
    """Open other data as the run's own was, with its targets renumbered to the run's classes.

    Args:
        run: The run.
        data: A path, the name of a data set, or data in memory, see `as_dataset`.
        label: The label column of a table. Default: the run's.

    Raises:
        DataError: The data cannot be read, or has classes that the run does not know.
    """
    return in_classes_of(run, open_like_own(run, data, label))


def open_like_own(run: RunInfo, data: object, label: str | None = None) -> Dataset:
    """Open other data with the run's label column, classes, colors, shape and preprocessing.

    Raises:
        DataError: The data cannot be read.
    """
    if not isinstance(data, (str, Path)):
        size = {"image_size": run.shape.height, "channels": run.shape.channels}
        return as_dataset(data, run.recipe.preprocess.model_copy(update=size))
    options = run.recipe.data
    spec = identify(str(data))
    table = spec.modality == "table" and not options.series
    if bool(run.columns) != table:
        takes = f"a table with the columns {', '.join(run.columns[:9])}" if run.columns else "images"
        raise DataError(f"{data}: the run {run.path} takes {takes}")
    if table and not spec.named:
        return with_checksums(open_table(spec.file, label=label or options.label, columns=run.columns))
    chosen = label or (options.label if has_label_columns(spec) else None)
    reading = options.model_copy(
        update={
            "source": spec.source,
            "ignore": (),
            "classes": None,
            "label": chosen,
            "audio": _audio(run, spec),
        }
    )
    known = run.data.get("mask_values") or ()
    values = dict(zip(run.classes, known, strict=True)) if known else None
    dataset = open_spec(spec, reading, run.recipe.preprocess, run.task.annotation, run.shape, values)
    if options.classes is None:
        return dataset
    kept = [name for name in dataset.info.classes if name in options.classes]
    return select_classes(dataset, kept, least=1)


def _audio(run: RunInfo, spec: DataSpec) -> Audio | None:
    """The form of recordings that the run reads; None for other data. Earlier versions read waveforms."""
    if not holds_recordings(spec.contents):
        return None
    return run.recipe.data.audio or "waveform"


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
            f"{info.name}: unknown classes {', '.join(unknown[:5])}{other_case(unknown[0], run.classes)}; "
            f"the run has {', '.join(run.classes[:10])}; rename them, or leave their samples out"
        )
    numbers = torch.tensor([run.classes.index(name) for name in info.classes], dtype=torch.int64)
    targets = info.target.renumber(dataset.targets, numbers, len(run.classes))
    return with_targets(dataset, targets, run.classes)


def checksums_file(dataset: Dataset) -> bytes | None:
    """The checksums of all samples as the content of a .npy file; None if they are not known.

    It holds int64 N×2: `checksums` and `contents` of the data.
    """
    if dataset.info.checksums is None or dataset.info.contents is None:
        return None
    buffer = io.BytesIO()
    np.save(buffer, torch.stack([dataset.info.checksums, dataset.info.contents], 1).numpy())
    return buffer.getvalue()


def require_unchanged(run: RunInfo, dataset: Dataset) -> None:
    """Check that the samples of the run's data have the content that they had when it was trained.

    Raises:
        DataError: Some have changed; the message names the first ones.
    """
    then, now = _checksums(run), dataset.info.checksums
    if then is None or now is None or len(then) != len(now):
        return
    changed = (then[:, 0] != now).nonzero().flatten().tolist()
    if changed:
        names = ", ".join(location(dataset, i) for i in changed[:3]) + (" …" if len(changed) > 3 else "")
        raise DataError(
            f"{dataset.info.name}: {len(changed):,} of {len(now):,} samples changed since the run was "
            f"trained: {names}; restore them, evaluate the data as it is now (convnet evaluate {run.path} "
            f"{run.recipe.data.source}), or train a new run"
        )


def trained_on(run: RunInfo, dataset: Dataset, indices: torch.Tensor) -> torch.Tensor:
    """Those of some samples of other data that the run was trained on, by content or by path."""
    rows = [
        row
        for row in split_rows(run.folder.read("split.csv"), run.folder.file("split.csv"))
        if row.split == "train"
    ]
    same_source = _is_source(run, dataset)
    names = {row.sample for row in rows} if same_source else set()
    seen = torch.tensor([location(dataset, i) in names for i in indices.tolist()], dtype=torch.bool)
    then = _checksums(run)
    numbers = dataset.info.checksums, dataset.info.contents
    places = torch.tensor([row.position for row in rows if then is not None and row.position < len(then)])
    for column, now in enumerate(numbers):
        if then is not None and now is not None and column < then.shape[1]:
            seen |= torch.isin(now[indices], then[places.long(), column])
    return indices[seen]


def _is_source(run: RunInfo, dataset: Dataset) -> bool:
    """Whether a dataset has no checksums and the name of the run's own."""
    return dataset.info.checksums is None and dataset.info.name == run.data["name"]


def _checksums(run: RunInfo) -> torch.Tensor | None:
    """The checksums of the samples of the run's data, int64 N×2; N×1 of earlier versions; None if unknown."""
    file = run.folder.file("checksums.npy")
    if not file.exists():
        return None
    try:
        stored = torch.from_numpy(np.load(file, allow_pickle=False).astype(np.int64))
        if stored.ndim != 1 and (stored.ndim != 2 or stored.shape[1] not in (1, 2)):
            raise ValueError(f"it has the shape {tuple(stored.shape)}")
        return stored.reshape(len(stored), -1)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{file}: damaged: {in_one_line(error)}; delete it to do without it") from error


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


def _steps(dataset: Dataset) -> int | None:
    """The length of all series; None if they differ, and for other data."""
    if dataset.info.modality != "series" or all_images(dataset).isnan().any():
        return None
    return dataset.info.shape.width


def describe_data(recipe: Recipe, dataset: Dataset, split: Split, reopens: bool) -> dict[str, Any]:
    """The facts about the data that prediction and reports need without opening it."""
    info = dataset.info
    counts: dict[SplitName, int] = {name: len(split[name]) for name in ("train", "val", "test")}
    return {
        "name": info.name,
        "target": info.target.name,
        "modality": info.modality,
        "classes": list(info.classes),
        "shape": list(network_shape(recipe, dataset)),
        "outputs": task_of(recipe).outputs(dataset),
        "samples": counts,
        "per_class": info.target.counts(dataset.targets, len(info.classes)),
        "columns": list(info.columns),
        "steps": _steps(dataset),
        "sample_rate": info.sample_rate,
        "mask_values": list(info.mask_values),
        "unreadable": list(info.unreadable),
        "warnings": [*info.warnings, *split.remarks],
        "excluded": {location(dataset, i): why for i, why in info.excluded.items()},
        **({} if reopens else {"opened": True}),
    }
