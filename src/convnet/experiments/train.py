"""Training a recipe into a run folder, and going on with one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from convnet.data import DATASETS, MemorySource, Split, as_path, make_split, read_split, write_split
from convnet.device import default_device, keep_freed_memory, make_fabric, resolve_precision, set_threads
from convnet.errors import DivergedError, InterruptedRunError, RecipeError, RunError, in_one_line
from convnet.experiments.conclude import conclude
from convnet.experiments.environment import describe_environment
from convnet.experiments.recorder import Recorder, stop_on_signal
from convnet.experiments.run import Run, write_report
from convnet.recipes import Recipe, Workbench, build, override
from convnet.recipes.build import build_network, open_recipe_data
from convnet.runs import RunFolder, as_file_name, load_checkpoint, save_checkpoint
from convnet.training import Evaluation, Event, Listener, StopTraining, fit
from convnet.types import SplitName

_RUNS = Path("runs")


def train(
    recipe: Recipe,
    out: Path | None = None,
    *,
    below: Path = _RUNS,
    opened: tuple[MemorySource, Split] | None = None,
    report: bool = True,
    data_dir: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[Workbench], object] = lambda workbench: None,
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
    recipe = settle(recipe, device, out or below)
    # All that can fail is tried before there is a folder: a device that is not here, data, a network.
    make_fabric(device, resolve_precision(recipe.precision, device))
    source, split = require_buildable(recipe, data_dir, opened)
    data_dir = data_dir or (Path(os.environ["CONVNET_DATA"]) if os.environ.get("CONVNET_DATA") else None)
    place = {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "device": device,
        "threads": threads,
    }
    files = {
        "recipe.yaml": recipe.to_yaml(),
        "environment.json": json.dumps({**describe_environment(), **place}, indent=2),
        "data.json": json.dumps(_describe_data(source, split), indent=2, ensure_ascii=False),
        "split.csv": write_split(split, source),
    }
    if out is None:
        folder = RunFolder.create_numbered(below, as_file_name(recipe.name), files)
    else:
        folder = RunFolder.create(out, files)
    with folder.writing():
        run = _execute(folder, recipe, source, split, device, listeners, on_start, say)
        if report:
            write_report(run, source)
    return run


def require_buildable(
    recipe: Recipe, data_dir: Path | None, opened: tuple[MemorySource, Split] | None = None
) -> tuple[MemorySource, Split]:
    """Open and split the data, unless they are `opened`, and build the network once.

    Raises:
        ConvnetError: what would stop the recipe from being trained.
    """
    if opened is not None:
        source, split = opened
    else:
        source = open_recipe_data(recipe, data_dir)
        split = make_split(source, recipe.split)
    build_network(recipe, source, split)
    return source, split


def settle(recipe: Recipe, device: str, out: Path) -> Recipe:
    """Write out what depends on here and now: the precision of this device, the place of a folder."""
    settled: dict[str, Any] = {"precision": resolve_precision(recipe.precision, device)}
    if recipe.data.source not in DATASETS:
        folder = as_path(recipe.data.source).resolve()
        settled["data.source"] = str(folder)
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
    on_start: Callable[[Workbench], object] = lambda workbench: None,
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
    source = run.open_own_data(data_dir)
    split = read_split(folder.read("split.csv"), source)
    with folder.writing():
        if longer:
            # In this order a kill in between leaves the shorter run, to be concluded anew.
            for outdated in ("report.html", "result.json"):
                folder.file(outdated).unlink(missing_ok=True)
            recipe = override(recipe, {"epochs": epochs})
            folder.write("recipe.yaml", recipe.to_yaml())
        run = _execute(folder, recipe, source, split, device, listeners, on_start, say)
        write_report(run, source)
    return run


def _execute(
    folder: RunFolder,
    recipe: Recipe,
    source: MemorySource,
    split: Split,
    device: str,
    listeners: Sequence[Listener],
    on_start: Callable[[Workbench], object],
    say: Callable[[str], object],
) -> Run:
    """Train from the last checkpoint, or the start, to the end; the caller holds the folder's lock."""
    bench = _build(folder, recipe, source, split, device, say)
    identity = _identity(recipe)
    if folder.checkpoint.exists():
        _restore(bench, folder.checkpoint, identity)
    on_start(bench)

    def validate() -> Evaluation:
        held_out = bench.evaluate("val")
        assert held_out is not None, "asked for only where there is validation data"
        return held_out

    patience = recipe.early_stopping.patience if recipe.early_stopping else None
    with stop_on_signal() as stop_asked:
        recorder = Recorder(folder, bench.training, patience, stop_asked, identity)
        audience: list[Listener] = [*listeners, recorder]

        def tell(event: Event) -> None:
            """All hear the event, also those behind one that ends training."""
            stop = None
            for listener in audience:
                try:
                    listener(event)
                except StopTraining as asked:
                    stop = asked
            if stop is not None:
                raise stop

        try:
            early = (
                patience is not None and recorder.metrics.rows and recorder.epochs_since_best() >= patience
            )
            if recipe.epochs and not early:
                fit(
                    bench.training,
                    bench.batches,
                    epochs=recipe.epochs,
                    fabric=bench.fabric,
                    validate=validate if len(split.val) else None,
                    on_event=tell,
                )
        except DivergedError as error:
            raise DivergedError(f"{error}; {_way_out(folder)}") from None
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise RecipeError("batch norm needs more than one image per batch; raise batch_size") from error
        finally:
            recorder.steps.close()
        if recipe.epochs and not recorder.metrics.rows:
            raise InterruptedRunError(f"{folder.path}: stopped before the end of the first epoch")
        if patience is not None:
            _restore(bench, folder.best_checkpoint, identity)
        conclude(folder, bench, recorder.metrics.rows)
    return Run(folder)


def _build(
    folder: RunFolder,
    recipe: Recipe,
    source: MemorySource,
    split: Split,
    device: str,
    say: Callable[[str], object],
) -> Workbench:
    """The workbench; what its fitted stages learn is kept, so that a resumed run need not learn it again."""
    kept = load_checkpoint(folder.learnt_checkpoint) if folder.learnt_checkpoint.exists() else None
    learnt = None if kept is None else kept["model"]
    bench = build(recipe, device=device, source=source, split=split, learnt=learnt, say=say)
    if kept is not None:
        return replace(bench, fit_seconds=kept["seconds"])
    if bench.fit_seconds and recipe.epochs:
        content = {"model": bench.model.state_dict(), "seconds": bench.fit_seconds}
        save_checkpoint(folder.learnt_checkpoint, content)
    return bench


def _identity(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe may not change while its run goes on. Whether data is the same, split.csv knows."""
    content = recipe.to_dict()
    del content["name"], content["epochs"], content["data"]["source"]
    return content


def _restore(bench: Workbench, checkpoint: Path, identity: dict[str, Any]) -> None:
    """Go on from a checkpoint of the same recipe."""
    content = load_checkpoint(checkpoint)
    then = content.pop("recipe", None)
    if then != identity:
        changed = [key for key, value in identity.items() if not then or then.get(key) != value]
        raise RunError(
            f"{checkpoint.parent.parent}: recipe.yaml was changed since the checkpoint "
            f"({', '.join(changed)}); restore it, or train the changed recipe as a new run"
        )
    try:
        bench.training.restore(content)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{checkpoint}: does not fit the run: {in_one_line(error)}") from error


def _way_out(folder: RunFolder) -> str:
    good = (
        f"the last good checkpoint is {folder.checkpoint}"
        if folder.checkpoint.exists()
        else "it came before the first checkpoint"
    )
    return f"{good}; train again with a lower rate (--set optimizer.lr=…) or with clip_norm=1"


def _describe_data(source: MemorySource, split: Split) -> dict[str, Any]:
    """What prediction needs to know of the data without opening it."""
    counts: dict[SplitName, int] = {name: len(split[name]) for name in ("train", "val", "test")}
    per_class = torch.bincount(source.targets, minlength=len(source.classes)).tolist()
    return {
        "name": source.name,
        "task": source.task,
        "classes": list(source.classes),
        "shape": list(source.shape),
        "samples": counts,
        "per_class": per_class,
        "columns": list(source.columns),
        "skipped": list(source.skipped),
    }
