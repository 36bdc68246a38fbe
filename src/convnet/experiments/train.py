"""Training a recipe into a run folder, and going on with one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from convnet.data import MemorySource, Split, make_split, read_split, write_split
from convnet.device import default_device, keep_freed_memory, make_fabric, resolve_precision, set_threads
from convnet.errors import DivergedError, RunError
from convnet.experiments.environment import describe_environment
from convnet.experiments.recorder import Recorder, stop_on_signal
from convnet.experiments.run import Run, write_report
from convnet.recipes import Recipe, Workbench, build, override
from convnet.recipes.build import build_network, open_recipe_data
from convnet.runs import RunFolder, load_checkpoint, next_free_folder
from convnet.training import Evaluation, Event, Listener, fit
from convnet.types import SplitName


def train(
    recipe: Recipe,
    out: Path | None = None,
    *,
    data_dir: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[Workbench], object] = lambda workbench: None,
) -> Run:
    """Train `recipe` from the start; returns the finished run, its report written.

    `out` is the run's folder (default: runs/NAME-1, -2, …); `data_dir` is where named data sets are looked
    for first; `device` is cpu, cuda or mps (default: the best there is); `threads` for the arithmetic
    (default: one per core); `listeners` hear every event of the loop.

    Raises:
        ConvnetError: bad recipe, data or folder (nothing is left behind), a diverging loss, an interrupt.
    """
    keep_freed_memory()
    threads = set_threads(threads)
    device = device or default_device()
    recipe = override(recipe, {"precision": resolve_precision(recipe.precision, device)})
    # All that can fail is tried before there is a folder: a device that is not here, data, a network.
    make_fabric(device, resolve_precision(recipe.precision, device))
    source = open_recipe_data(recipe, data_dir)
    split = make_split(source, recipe.split)
    build_network(recipe, source, split)
    place = {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "device": device,
        "threads": threads,
    }
    folder = RunFolder.create(
        out or next_free_folder(Path("runs"), recipe.name),
        {
            "recipe.yaml": recipe.to_yaml(),
            "environment.json": json.dumps({**describe_environment(), **place}, indent=2),
            "data.json": json.dumps(_describe_data(source, split), indent=2, ensure_ascii=False),
            "split.csv": write_split(split, source),
        },
    )
    with folder.writing():
        return _execute(folder, recipe, source, split, device, listeners, on_start)


def resume(
    path: Path,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[Workbench], object] = lambda workbench: None,
) -> Run:
    """Go on with an interrupted run, exactly as if it had not stopped; or train a run for longer.

    `epochs` is the new total. Where the schedule depends on the length of the run (cosine, one-cycle), it
    is the longer run's from here on. A finished run without `epochs` is returned as it is.

    Raises:
        RunError: no run, one of another version, in use, or longer than `epochs` already.
        ConvnetError: as `train`.
    """
    folder = RunFolder.open(path)
    recipe = Recipe.from_yaml(folder.read("recipe.yaml"), str(folder.file("recipe.yaml")))
    if epochs is not None and epochs < recipe.epochs:
        raise RunError(f"{path}: has {recipe.epochs} epochs; --epochs {epochs} would shorten it")
    longer = epochs is not None and epochs > recipe.epochs
    if folder.finished and not longer:
        if not folder.file("report.html").exists():
            write_report(Run(folder))
        return Run(folder)
    environment = folder.read_json("environment.json")
    keep_freed_memory()
    set_threads(environment["threads"])
    recorded = environment["data_dir"]
    source = open_recipe_data(recipe, data_dir or (Path(recorded) if recorded else None))
    split = read_split(folder.read("split.csv"), source)
    with folder.writing():
        if longer:
            # In this order a kill in between leaves the shorter run, to be concluded anew.
            folder.file("result.json").unlink(missing_ok=True)
            recipe = override(recipe, {"epochs": epochs})
            folder.write("recipe.yaml", recipe.to_yaml())
        return _execute(folder, recipe, source, split, environment["device"], listeners, on_start)


def _execute(
    folder: RunFolder,
    recipe: Recipe,
    source: MemorySource,
    split: Split,
    device: str,
    listeners: Sequence[Listener],
    on_start: Callable[[Workbench], object],
) -> Run:
    """Train from the last checkpoint, or the start, to the end; the caller holds the folder's lock."""
    bench = build(recipe, device=device, source=source, split=split)
    if folder.checkpoint.exists():
        bench.training.restore(load_checkpoint(folder.checkpoint))
    on_start(bench)

    def validate() -> Evaluation:
        held_out = bench.evaluate("val")
        assert held_out is not None, "asked for only where there is validation data"
        return held_out

    patience = recipe.early_stopping.patience if recipe.early_stopping else None
    with stop_on_signal() as stop_asked:
        recorder = Recorder(folder, bench.training, patience, stop_asked)

        audience: list[Listener] = [*listeners, recorder]  # the recorder last: it may end training

        def tell(event: Event) -> None:
            for listener in audience:
                listener(event)

        try:
            if patience is None or not recorder.metrics.rows or recorder.epochs_since_best() <= patience:
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
        finally:
            recorder.steps.close()
        if patience is not None:
            bench.training.restore(load_checkpoint(folder.best_checkpoint))
        _conclude(folder, bench, recorder)
    run = Run(folder)
    write_report(run, source)
    return run


def _way_out(folder: RunFolder) -> str:
    good = (
        f"the last good checkpoint is {folder.checkpoint}"
        if folder.checkpoint.exists()
        else "it came before the first checkpoint"
    )
    return f"{good}; train again with a lower rate (--set optimizer.lr=…) or with clip_norm=1"


def _conclude(folder: RunFolder, bench: Workbench, recorder: Recorder) -> None:
    """Write the weights, the predictions for what was held out, and, last of all, the result."""
    held_out: dict[SplitName, Evaluation | None] = {name: bench.evaluate(name) for name in ("val", "test")}
    weights = {k: v.detach().cpu().contiguous() for k, v in bench.training.evaluated.state_dict().items()}
    folder.write("model.safetensors", save(weights))
    folder.write("predictions.csv", _predictions(bench.source, held_out))
    rows = recorder.metrics.rows
    seconds = sum(row["seconds"] or 0.0 for row in rows)
    images = sum((row["seconds"] or 0.0) * (row["images_per_second"] or 0.0) for row in rows)
    result: dict[str, Any] = {
        "run": str(folder.path),
        "recipe": bench.recipe.name,
        "data": bench.source.name,
        "model": bench.recipe.model.name,
        "epochs": len(rows),
        "best_epoch": bench.training.progress.epoch,
        "train": {"loss": rows[-1]["train_loss"], "accuracy": rows[-1]["train_accuracy"]},
        **{name: _scores(evaluation) for name, evaluation in held_out.items()},
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 1) if seconds else None,
        "parameters": sum(p.numel() for p in bench.training.model.parameters()),
        "device": bench.fabric.device.type,
        "precision": bench.recipe.precision,
    }
    if bench.recipe.early_stopping is None:
        del result["best_epoch"]
    folder.write("result.json", json.dumps(result, indent=2, ensure_ascii=False))


def _scores(evaluation: Evaluation | None) -> dict[str, float] | None:
    if evaluation is None:
        return None
    return {"loss": evaluation.loss, "accuracy": evaluation.accuracy, "samples": len(evaluation.targets)}


def _predictions(source: MemorySource, held_out: dict[SplitName, Evaluation | None]) -> str:
    """CSV text: each held-out sample, its class, what was predicted and how sure the network was."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "split", "sample", "class", "predicted", "confidence", "class_probability"])
    for name, evaluation in held_out.items():
        if evaluation is None:
            continue
        confidence = evaluation.probabilities.amax(1)
        own = evaluation.probabilities.gather(1, evaluation.targets[:, None])[:, 0]
        columns = (evaluation.indices, evaluation.targets, evaluation.predicted, confidence, own)
        for index, target, predicted, sure, probability in zip(*(c.tolist() for c in columns), strict=True):
            writer.writerow(
                [
                    index,
                    name,
                    source.describe(index),
                    source.classes[target],
                    source.classes[predicted],
                    f"{sure:.6f}",
                    f"{probability:.6f}",
                ]
            )
    return text.getvalue()


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
        "skipped": list(source.skipped),
    }
