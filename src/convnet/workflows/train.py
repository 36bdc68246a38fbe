"""Training a recipe into a run folder, and going on with one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convnet.data import (
    DATASETS,
    Dataset,
    ImageDataset,
    Split,
    all_images,
    as_path,
    is_address,
    make_split,
    read_split,
    whole_name,
    write_split,
)
from convnet.device import default_device, keep_freed_memory, make_fabric, resolve_precision, set_threads
from convnet.errors import RunError
from convnet.recipes import Recipe, TrainingSetup, open_recipe_data, override
from convnet.recipes.network import build_network, network_shape, task_of
from convnet.recipes.pretrained import checksum, is_local, locate
from convnet.runs import RunFolder, as_file_name
from convnet.runs.environment import describe_environment
from convnet.training import Listener
from convnet.types import OF_SAMPLES, SplitName
from convnet.workflows.run import Run, write_report
from convnet.workflows.run_data import open_own_data
from convnet.workflows.run_training import run_training

_RUNS = Path("runs")


def train(
    recipe: Recipe,
    out: Path | None = None,
    *,
    below: Path = _RUNS,
    opened: tuple[Dataset, Split] | None = None,
    report: bool = True,
    data_dir: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[TrainingSetup], object] = lambda workbench: None,
    say: Callable[[str], object] = lambda line: None,
) -> Run:
    """Train `recipe` from the start; returns the finished run, its report written.

    `out` is the run's folder (default: NAME-1, -2, … `below` runs/); `opened` are its data and split, where
    they are there already; without `report` its page is left to `convnet report`. `data_dir` is where named
    data sets are looked for first; `device` is cpu, cuda or mps (default: the best there is); `threads` for
    the arithmetic (default: one per core); `listeners` hear every event of the loop, `say` what takes long
    before it.

    Raises:
        ConvnetError: bad recipe, data or folder (nothing is left behind), a diverging loss, an interrupt.
    """
    keep_freed_memory()
    threads = set_threads(threads)
    device = device or default_device()
    recipe = resolve_environment(recipe, device, out or below)
    # All that can fail is tried before there is a folder: a device that is not here, data, a network.
    make_fabric(device, resolve_precision(recipe.precision, device))
    dataset, split, network = require_buildable(recipe, data_dir, opened, say)
    data_dir = data_dir or (Path(os.environ["CONVNET_DATA"]) if os.environ.get("CONVNET_DATA") else None)
    place = {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "device": device,
        "threads": threads,
    }
    files = {
        "recipe.yaml": recipe.to_yaml(),
        "environment.json": json.dumps({**describe_environment(), **place}, indent=2),
        "data.json": json.dumps(_describe_data(recipe, dataset, split), indent=2, ensure_ascii=False),
        "split.csv": write_split(split, dataset),
    }
    if isinstance(dataset, ImageDataset) and dataset.audit is not None:
        files["audit.json"] = json.dumps(dataset.audit, indent=2, ensure_ascii=False)
    if out is None:
        folder = RunFolder.create_numbered(below, as_file_name(recipe.name), files)
    else:
        folder = RunFolder.create(out, files)
    with folder.writing():
        run = run_training(folder, recipe, dataset, split, device, listeners, on_start, say, network)
        if report:
            write_report(run, dataset)
    return run


def require_buildable(
    recipe: Recipe,
    data_dir: Path | None,
    opened: tuple[Dataset, Split] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> tuple[Dataset, Split, nn.Sequential]:
    """Open and split the data, unless they are `opened`, and build the network once.

    Raises:
        ConvnetError: what would stop the recipe from being trained.
    """
    if opened is not None:
        dataset, split = opened
    else:
        dataset = open_recipe_data(recipe, data_dir, say)
        split = make_split(dataset, recipe.split)
    return dataset, split, build_network(recipe, dataset, split, say=say)


def resolve_environment(recipe: Recipe, device: str, out: Path) -> Recipe:
    """Write out what depends on here and now: precision, the place of a folder, the checksum of weights."""
    settled: dict[str, Any] = {"precision": resolve_precision(recipe.precision, device)}
    if recipe.weights is not None:
        path = locate(recipe.weights.source, recipe.model.name)
        settled["weights.sha256"] = recipe.weights.sha256 or checksum(path)
        if is_local(recipe.weights.source):
            settled["weights.source"] = str(as_path(recipe.weights.source).resolve())
    settled["data.source"] = whole_name(recipe.data.source)
    if recipe.data.source not in DATASETS and not is_address(recipe.data.source):
        folder = Path(settled["data.source"])
        if out.resolve().is_relative_to(folder):
            raise RunError(f"{out}: inside the data {folder}; choose another folder with --out")
    return override(recipe, settled)


def resume(
    path: Path,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    device: str | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[TrainingSetup], object] = lambda workbench: None,
    say: Callable[[str], object] = lambda line: None,
) -> Run:
    """Go on with an interrupted run, exactly as if it had not stopped; or train a run for longer.

    `device`, if given, replaces the one the run began on, and with it bit-for-bit equality. `epochs` is
    the new total. Where the schedule depends on the length of the run (cosine, one-cycle), it
    is the longer run's from here on. A finished run without `epochs` is returned as it is.

    Raises:
        RunError: no run, one of another version, in use, or longer than `epochs` already.
        ConvnetError: as `train`.
    """
    folder = RunFolder.open(path)
    run = Run(folder)
    recipe = run.recipe
    if epochs is not None and epochs < recipe.epochs:
        raise RunError(f"{path}: has {recipe.epochs} epochs; --epochs {epochs} would shorten it")
    if epochs and not recipe.epochs:
        raise RunError(f"{path}: {recipe.model.name} learnt in one pass; --epochs does not apply")
    longer = epochs is not None and epochs > recipe.epochs
    if folder.finished and not longer:
        if not folder.file("report.html").exists():
            with folder.writing():
                write_report(run, data_dir=data_dir)
        return run
    environment = folder.read_json("environment.json")
    keep_freed_memory()
    set_threads(environment.get("threads"))
    device = device or environment.get("device") or default_device()
    dataset = open_own_data(run, data_dir)
    split = read_split(folder.read("split.csv"), dataset)
    with folder.writing():
        if longer:
            # In this order a kill in between leaves the shorter run, to be concluded anew.
            for outdated in ("report.html", "result.json"):
                folder.file(outdated).unlink(missing_ok=True)
            recipe = override(recipe, {"epochs": epochs})
            folder.write("recipe.yaml", recipe.to_yaml())
        run = run_training(folder, recipe, dataset, split, device, listeners, on_start, say)
        write_report(run, dataset)
    return run


def train_or_continue(path: Path, recipe: Recipe, *, data_dir: Path | None, **options: Any) -> Run:
    """Train into `path`, or take over the run of the same recipe that is there, finished or not.

    Raises:
        RunError: it is a run of another recipe.
        ConvnetError: as `train`.
    """
    if not (path / "run.json").exists():
        return train(recipe, path, data_dir=data_dir, **options)
    there = Run(RunFolder.open(path))
    if there.recipe != recipe:
        raise RunError(f"{path}: holds a run of another recipe; choose another folder with --out")
    chosen = {key: options[key] for key in ("listeners", "on_start", "say")}
    return resume(path, data_dir=data_dir, **chosen)


def _steps(dataset: Dataset) -> int | None:
    """How many steps all series have; None where they differ, and of other data."""
    if dataset.modality != "series" or all_images(dataset).isnan().any():
        return None
    return dataset.shape.width


def _describe_data(recipe: Recipe, dataset: Dataset, split: Split) -> dict[str, Any]:
    """What prediction needs to know of the data without opening it."""
    counts: dict[SplitName, int] = {name: len(split[name]) for name in ("train", "val", "test")}
    per_class = torch.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()
    if dataset.target == "labels":
        per_class = dataset.targets.sum(0, dtype=torch.int64).tolist()
    return {
        "name": dataset.name,
        "target": dataset.target,
        "form": dataset.modality,
        "classes": list(dataset.classes),
        "shape": list(network_shape(recipe, dataset)),
        "outputs": task_of(recipe).outputs(dataset),
        "samples": counts,
        "per_class": per_class if dataset.target in OF_SAMPLES else [],
        "columns": list(dataset.columns),
        "steps": _steps(dataset),
        "skipped": list(dataset.unreadable),
        "notes": list(dataset.warnings),
        "unfit": {dataset.location(i): why for i, why in dataset.excluded.items()},
    }
