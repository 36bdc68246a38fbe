"""Train a recipe into a run folder, and resume a run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convnet.data import (
    DATASETS,
    Dataset,
    DataSpec,
    ImageDataset,
    Split,
    as_path,
    read_split,
    write_split,
)
from convnet.data.files.shards import is_address
from convnet.device import default_device, keep_freed_memory, make_compute, resolve_precision, set_threads
from convnet.errors import ConvnetError, InterruptedRunError, RunError
from convnet.layers import Network
from convnet.models import facts_of
from convnet.recipes import Opened, Recipe, open_recipe_data, override, split_data
from convnet.recipes.applicable import head_only
from convnet.recipes.network import build_network, encoder_of
from convnet.recipes.pretrained import checksum, is_local, locate
from convnet.recipes.settle import settle
from convnet.runs import MetricsLog, RunFolder, as_file_name, changes_as_csv
from convnet.runs.environment import describe_environment
from convnet.settings import settings
from convnet.training import Listener
from convnet.workflows.control import Control
from convnet.workflows.controlled_batches import changed_recipe
from convnet.workflows.run import Run
from convnet.workflows.run_data import checksums_file, describe_data, open_own_data, require_unchanged
from convnet.workflows.run_setup import set_up
from convnet.workflows.run_training import run_training

_RUNS = Path("runs")


def train(
    recipe: Recipe,
    out: Path | None = None,
    *,
    data: DataSpec | Opened | None = None,
    below: Path = _RUNS,
    report: bool = True,
    listeners: Sequence[Listener] = (),
    control: Control | None = None,
    reopens: bool = True,
) -> Run:
    """Train `recipe` from the start.

    Args:
        recipe: The recipe.
        out: The run folder. Default: a new folder NAME-1, NAME-2, … in `below`.
        data: The recipe's data, if it is already identified, or opened and split.
        below: The parent of numbered folders.
        report: Whether to write the report.
        listeners: Callables that receive every event.
        control: Receives what the user asks for during training, and the changes to make again.
        reopens: Whether `data.source` of the recipe opens the data again; False for data opened in Python.

    Returns:
        The finished run.

    Raises:
        ConvnetError: The recipe, the data or the folder is invalid (nothing is left behind), the loss
            diverged, or the user interrupted training.
    """
    started = time.perf_counter()
    keep_freed_memory()
    threads = set_threads(settings().threads)
    device = settings().device or default_device()
    recipe = resolve_environment(recipe, device, out or below, named=reopens)
    # Everything that can fail comes before the folder: the device, the data, the network.
    compute = make_compute(device, recipe.precision)
    recipe, dataset, split, network = require_buildable(recipe, data)
    data_dir = settings().data_dir
    place = {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "device": device,
        "threads": threads,
        "keep_checkpoints": settings().keep_checkpoints,
    }
    files: dict[str, str | bytes] = {
        "recipe.yaml": recipe.to_yaml(),
        "environment.json": json.dumps({**describe_environment(), **place}, indent=2),
        "data.json": json.dumps(describe_data(recipe, dataset, split, reopens), indent=2, ensure_ascii=False),
        "split.csv": write_split(split, dataset),
    }
    if isinstance(dataset, ImageDataset) and dataset.audit is not None:
        files["audit.json"] = json.dumps(dataset.audit, indent=2, ensure_ascii=False)
    checksums = checksums_file(dataset)
    if checksums is not None:
        files["checksums.npy"] = checksums
    if control is not None and control.changes:
        changed_recipe(recipe, control.changes)  # an invalid change is an error before the folder
        files["events.csv"] = changes_as_csv(control.changes)
    if out is None:
        folder = RunFolder.create_numbered(below, as_file_name(recipe.name), files)
    else:
        folder = RunFolder.create(out, files)
    try:
        with folder.writing():
            setup = set_up(folder, recipe, (dataset, split), compute, network)
            spent = time.perf_counter() - started
            run = run_training(folder, setup, listeners=listeners, control=control, spent=spent)
            if report:
                _write_report(run, dataset)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"stopped; continue with: convnet resume {folder.path}") from None
    except ConvnetError as error:
        if not (isinstance(error, InterruptedRunError) or folder.checkpoint.exists() or folder.finished):
            folder.discard()  # there is nothing to resume from
        raise
    return run


def require_buildable(
    recipe: Recipe, data: DataSpec | Opened | None = None
) -> tuple[Recipe, Dataset, Split, Network]:
    """Open and split the data, unless they are already open, settle the recipe, and build the network.

    Raises:
        ConvnetError: The recipe cannot be trained.
    """
    if isinstance(data, tuple):
        opened = data
        settled = settle(recipe, *opened)
    else:
        opened = split_data(recipe, open_recipe_data(recipe, data))
        settled = settle(recipe, *opened, reopens=True)
        if settled.preprocess.image_size != recipe.preprocess.image_size:
            opened = split_data(settled, open_recipe_data(settled, data))
    return settled, *opened, build_network(settled, *opened)


def resolve_environment(recipe: Recipe, device: str, out: Path, *, named: bool = True) -> Recipe:
    """Fill in what depends on this machine: precision, absolute paths, the checksum of weights."""
    settled: dict[str, Any] = {"precision": _precision(recipe, device)}
    if recipe.weights is not None:
        path = locate(recipe.weights.source, encoder_of(recipe) or recipe.model.name)
        settled["weights.sha256"] = recipe.weights.sha256 or checksum(path)
        if is_local(recipe.weights.source):
            settled["weights.source"] = str(as_path(recipe.weights.source).resolve())
    source = recipe.data.source
    if named and source not in DATASETS and not is_address(source):
        folder = as_path(source).resolve()
        settled["data.source"] = str(folder)
        if out.resolve().is_relative_to(folder):
            raise RunError(f"{out}: inside the data {folder}; choose another folder with --out")
    return override(recipe, settled)


def _precision(recipe: Recipe, device: str) -> str:
    """The precision of a recipe; "auto" is what is faster for the network on the device."""
    facts = facts_of(encoder_of(recipe) or recipe.model.name)
    if recipe.precision == "auto" and device == "cpu" and facts is not None and facts.depthwise:
        return "fp32"
    return resolve_precision(recipe.precision, device)


def resume(
    path: Path,
    *,
    epochs: int | None = None,
    listeners: Sequence[Listener] = (),
    control: Control | None = None,
) -> Run:
    """Resume an interrupted run exactly where it stopped, or train a finished run longer.

    The weights are bit-for-bit those of an uninterrupted run, unless the settings name another device.
    Schedules that depend on the length of the run (cosine, one-cycle) follow the new length from here on. A
    finished run without `epochs` is returned unchanged.

    Args:
        path: The run folder.
        epochs: The new total number of epochs.
        listeners: Callables that receive every event.
        control: Receives what the user asks for during training.

    Returns:
        The finished run.

    Raises:
        RunError: The folder holds no run or a run of another version, another process is writing it, or it
            already has more epochs.
        ConvnetError: As for `train`.
    """
    folder = RunFolder.open(path)
    run = Run(folder)
    recipe = run.recipe
    if epochs is not None and epochs < recipe.epochs:
        raise RunError(f"{path}: already has {recipe.epochs} epochs; --epochs {epochs} would shorten it")
    if epochs and not recipe.epochs:
        if recipe.weights is not None:
            raise RunError(
                f"{path}: only the head was trained, so --epochs does not apply; train the whole network as "
                f"a new run: convnet train {folder.file('recipe.yaml')} --epochs {epochs}"
            )
        raise RunError(f"{path}: {recipe.model.name} is fitted in one pass; --epochs does not apply")
    longer = epochs is not None and epochs > recipe.epochs
    if folder.finished and not longer:
        if not folder.file("report.html").exists():
            with folder.writing():
                _write_report(run, None)
        return run
    if longer and not folder.checkpoint.exists() and folder.finished:
        raise RunError(
            f"{path}: cannot be trained longer, because it has no checkpoint (it was removed at the end, or "
            f"the run ended in its first epoch); train with --keep-checkpoints, or start from its weights "
            f"(--weights {path})"
        )
    environment = folder.environment
    keep_freed_memory()
    set_threads(environment.get("threads"))
    compute = make_compute(
        settings().device or environment.get("device") or default_device(), recipe.precision
    )
    dataset = open_own_data(run)
    split = read_split(folder.read("split.csv"), dataset, folder.file("split.csv"))
    require_unchanged(run, dataset)
    if longer:
        recipe = override(recipe, {"epochs": epochs, "minutes": None})
    with folder.writing():
        setup = set_up(folder, recipe, (dataset, split), compute)
        if longer:
            # In this order a kill in between leaves the shorter run, which can be resumed.
            for outdated in ("report.html", "result.json"):
                folder.file(outdated).unlink(missing_ok=True)
            folder.write("recipe.yaml", recipe.to_yaml())
        rows = MetricsLog(folder.file("metrics.csv")).rows
        spent = setup.fit_seconds + sum(row["seconds"] or 0.0 for row in rows)
        run = run_training(folder, setup, listeners=listeners, control=control, spent=spent)
        _write_report(run, dataset)
    return run


def train_or_resume(
    path: Path,
    recipe: Recipe,
    *,
    dataset: Dataset | None = None,
    listeners: Sequence[Listener] = (),
) -> Run:
    """Train into `path`, or resume the run of the same recipe that is there.

    Args:
        path: The run folder.
        recipe: The recipe.
        dataset: Data that the recipe cannot open.
        listeners: Callables that receive every event.

    Raises:
        RunError: The folder holds a run of another recipe.
        ConvnetError: As for `train`.
    """
    if not (path / "run.json").exists():
        data = split_data(recipe, dataset) if dataset is not None else None
        return train(recipe, path, data=data, listeners=listeners, reopens=data is None)
    there = Run(RunFolder.open(path))
    if not _is_of(there.recipe, recipe):
        raise RunError(f"{path}: holds a run of another recipe; choose another folder with --out")
    return resume(path, listeners=listeners)


def _is_of(found: Recipe, recipe: Recipe) -> bool:
    """Whether a run's recipe is that of a plan, which a time limit may have shortened."""
    if found == recipe or recipe.minutes is None:
        return found == recipe
    if found.epochs == 0 and recipe.weights is not None and recipe.weights.finetune == "full":
        return found == override(recipe, head_only(recipe))
    return found.epochs <= recipe.epochs and found == recipe.model_copy(update={"epochs": found.epochs})


def _write_report(run: Run, dataset: Dataset | None) -> None:
    """Write the page without what takes long; `convnet report` adds it."""
    from convnet.workflows.report import write_report  # it imports matplotlib

    write_report(run, dataset, full=False)
