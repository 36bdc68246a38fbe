"""The results of a finished run: weights, predictions, metrics."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from convnet.data import Dataset, location, to_device
from convnet.device import INFERENCE
from convnet.errors import DivergedError
from convnet.outputs import UNCALIBRATED, Calibration
from convnet.recipes import TrainingSetup
from convnet.recipes.network import network_shape
from convnet.runs import RunFolder
from convnet.tasks import Evaluation
from convnet.tensor_file import to_bytes
from convnet.types import SplitName
from convnet.workflows.diagnosis import diagnose_training

Row = dict[str, float | None]


def write_results(folder: RunFolder, setup: TrainingSetup, rows: Sequence[Row]) -> None:
    """Write the weights, the predictions on held-out samples and, last, result.json.

    Args:
        folder: The run folder.
        setup: The finished training; its weights may be those of an earlier epoch than the last.
        rows: The rows of metrics.csv; none for models that are fitted in one pass.

    Raises:
        DivergedError: The loss on held-out data is not finite.
        RunError: The disk is full.
    """
    held_out: dict[SplitName, Evaluation | None] = {
        name: setup.evaluate(name, precision=INFERENCE) for name in ("val", "test")
    }
    thresholds = held_out["val"].tune_thresholds() if held_out["val"] is not None else {}
    calibration = _calibration(setup, held_out["val"])
    held_out = {
        name: found and found.with_thresholds(thresholds).with_calibration(calibration or UNCALIBRATED)
        for name, found in held_out.items()
    }
    for name, evaluation in held_out.items():
        if evaluation is not None and not math.isfinite(evaluation.loss or 0.0):
            raise DivergedError(f"the {name} loss is {evaluation.loss} at the end of training")
    state = setup.model.state_dict()
    weights = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    folder.write("model.safetensors", to_bytes(weights, _metadata(setup)))
    folder.write("predictions.csv", _predictions(setup.dataset, held_out))
    folder.write("predictions.npz", prediction_arrays(held_out))
    data = folder.data
    unreadable = list(setup.dataset.info.unreadable)
    if data["unreadable"] != unreadable:  # in a very large set files are first read during training
        data["unreadable"] = unreadable
        folder.write("data.json", json.dumps(data, indent=2, ensure_ascii=False))
    epoch, score = setup.training.progress.epoch, setup.task.score.key
    row = next((row for row in rows if row["epoch"] == epoch), None)
    stepping = sum(row["seconds"] or 0.0 for row in rows)
    images = sum((row["seconds"] or 0.0) * (row["images_per_second"] or 0.0) for row in rows)
    result: dict[str, Any] = {
        "run": str(folder.path),
        "recipe": setup.recipe.name,
        "task": setup.task.name,
        "data": setup.dataset.info.name,
        "model": setup.recipe.model.name,
        "epochs": len(rows),
        "best_epoch": epoch,
        "train": row and {"loss": row["train_loss"], score: row[f"train_{score}"]},
        **{name: _scores(evaluation) for name, evaluation in held_out.items()},
        "intervals": {name: found.intervals() for name, found in held_out.items() if found is not None},
        "seconds": round(setup.fit_seconds + stepping, 3),
        "images_per_second": round(images / stepping, 1) if stepping else None,
        "parameters": sum(p.numel() for p in setup.network.parameters()),
        "device": setup.training.compute.device.type,
        "precision": setup.recipe.precision,
    }
    if setup.recipe.early_stopping is None:
        del result["best_epoch"]
    if setup.head is not None and setup.recipe.epochs:
        result["head"] = {**setup.head, "kept": epoch == 0}
    result["diagnosis"] = [
        finding.as_dict() for finding in diagnose_training(folder, setup, rows, held_out["val"])
    ]
    if thresholds:
        result["thresholds"] = thresholds
    if calibration is not None:
        result["calibration"] = calibration.as_dict()
    folder.write("result.json", json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


def _calibration(setup: TrainingSetup, val: Evaluation | None) -> Calibration | None:
    """The calibration fitted to the validation split; None without one."""
    if val is None:
        return None
    dataset = to_device(setup.dataset, setup.training.compute.device)
    return val.fit_calibration(setup.task.scrambled_outputs(setup.model, dataset, setup.split.val))


def _metadata(setup: TrainingSetup) -> dict[str, str]:
    """The header of the weights file, for programs that read it without the run."""
    info, recipe = setup.dataset.info, setup.recipe
    return {
        "format": "pt",
        "convnet": version("convnet"),
        "task": setup.task.name,
        "model": json.dumps({"name": recipe.model.name, **recipe.model.options}, default=str),
        "classes": json.dumps(list(info.classes)),
        "shape": json.dumps(list(network_shape(recipe, setup.dataset))),
    }


def _scores(evaluation: Evaluation | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {"loss": evaluation.loss, **evaluation.scores(), "samples": len(evaluation)}


def prediction_arrays(held_out: Mapping[SplitName, Evaluation | None]) -> bytes:
    """The content of predictions.npz: val_indices, val_logits, val_targets, test_indices, …"""
    arrays = {
        f"{split}_{name}": values
        for split, evaluation in held_out.items()
        if evaluation is not None
        for name, values in {"indices": evaluation.indices.cpu().numpy(), **evaluation.arrays()}.items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _predictions(dataset: Dataset, held_out: dict[SplitName, Evaluation | None]) -> str:
    """CSV text with one row per held-out sample; the task defines the columns."""
    rows = [
        {"index": index, "split": name, "sample": location(dataset, index), **row}
        for name, evaluation in held_out.items()
        if evaluation is not None
        for index, row in zip(evaluation.indices.tolist(), evaluation.rows(dataset), strict=True)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0] if rows else ["index", "split", "sample"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
