"""The description of a run in its bundle: the manifest, and the facts of the model card."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from convnet.export.bundle import CARD, WEIGHTS
from convnet.export.manifest import SCHEMA, Format, Manifest
from convnet.export.network import ENCODER
from convnet.layers import sizes_of
from convnet.models import MODELS
from convnet.workflows.export_source import ExportSource
from convnet.workflows.run import Run


def describable(run: Run) -> bool:
    """Whether the network can be built again from its name and options, without code of the user's."""
    model = run.recipe.model
    return model.name in MODELS and ENCODER not in str(model.options.get("stages", ""))


def manifest_of(
    source: ExportSource, files: dict[str, bytes], formats: dict[str, Format], facts: dict[str, str | None]
) -> Manifest:
    """The content of bundle.json."""
    run = source.run
    recipe, inputs = run.recipe, run.inputs
    described = {"name": recipe.model.name, "options": dict(recipe.model.options)}
    labels = run.predictor.labels
    sizes = sizes_of(run.predictor.model) if run.task.target.dense and run.modality == "images" else None
    content = {
        "schema": SCHEMA,
        "name": facts.get("name") or run.path.name,
        "version": facts.get("version") or sha256(files[WEIGHTS]).hexdigest()[:12],
        "convnet": version("convnet"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": {"name": recipe.task.name, "options": dict(recipe.task.options)},
        "network": described if describable(run) else None,
        "inputs": {
            "modality": run.modality,
            "shape": list(run.shape),
            "preprocess": recipe.preprocess.model_dump(mode="json"),
            "columns": list(run.columns),
            "label": inputs.label,
            "steps": inputs.steps,
            "any_length": inputs.any_length,
            "audio": inputs.audio,
            "sample_rate": inputs.sample_rate,
        },
        "outputs": {
            "count": run.data.get("outputs") or len(run.classes),
            "classes": list(run.classes),
            "thresholds": dict(labels.thresholds),
            "colors": dict(labels.colors),
            "mask_values": list(labels.values),
            "calibration": run.result.get("calibration"),
        },
        "sizes": sizes
        and {
            "multiple": sizes.multiple,
            "remainder": sizes.remainder,
            "shrink": sizes.shrink,
            "context": sizes.context,
            "fixed": None if sizes.fixed is None else list(sizes.fixed),
            "enlarged": not source.module.prepare,
        },
        "parameters": run.result["parameters"],
        "files": sorted([*files, CARD]),
        "formats": {name: entry.model_dump(mode="json") for name, entry in formats.items()},
        "metrics": {name: run.result[name] for name in ("train", "val", "test") if run.result[name]},
        "license": facts.get("license"),
    }
    return Manifest.model_validate(content)


def card_facts(source: ExportSource) -> dict[str, Any]:
    """The facts of the model card; see `convnet.export.model_card`."""
    run, evaluation = source.run, source.measured.evaluation
    score, intervals = run.task.score, evaluation.intervals()
    figures = [
        (
            name.replace("_", " "),
            score.show(value) if name == score.key else f"{value:.4f}",
            score.show_interval(intervals[name])
            if name == score.key and name in intervals
            else "–".join(f"{end:.4f}" for end in intervals[name])
            if name in intervals
            else "–",
        )
        for name, value in evaluation.scores().items()
        if isinstance(value, float)
    ]
    details = evaluation.details(run.classes)
    names = {
        "ece": "expected calibration error",
        "ece_uncalibrated": "without temperature",
        "brier": "Brier score",
        "temperature": "temperature",
    }
    return {
        "data": run.data["name"],
        "samples": run.data["samples"],
        "split": _split_text(run),
        "figures": figures,
        "measured_on": "test" if run.data["samples"]["test"] else "validation",
        "count": len(evaluation),
        "classes": details.get("classes", {}),
        "calibration": [
            (text, f"{details[key]:.4f}") for key, text in names.items() if details.get(key) is not None
        ],
    }


def _split_text(run: Run) -> str:
    split = run.recipe.split
    if split.folds is not None:
        return f"The test split is fold {split.fold} of {split.folds}, seed {split.seed}."
    return f"The split is that of the data where it has one; what it lacks is drawn with seed {split.seed}."
