"""Export a run as a bundle, and check that every format predicts the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from convnet.errors import ModelError, RecipeError
from convnet.export.bundle import FULL, INT8, ONNX, PROGRAM, WEIGHTS, Bundle, load_bundle
from convnet.export.golden import GOLDEN, golden_bytes
from convnet.export.write import write_bundle
from convnet.tensor_file import to_bytes
from convnet.workflows.bundle_facts import card_facts, describable, manifest_of
from convnet.workflows.bundle_run import RECORD, RECORDED
from convnet.workflows.evaluate import Measurement, evaluate_run
from convnet.workflows.export_source import ExportSource
from convnet.workflows.exported_formats import full_image_format, int8_format, onnx_format, program_format
from convnet.workflows.run import Run

FORMATS = ("onnx", "pt2")


@dataclass(frozen=True)
class Export:
    """A written bundle.

    Attributes:
        bundle: The bundle.
        measured: The evaluation of the network on its held-out split.
    """

    bundle: Bundle
    measured: Measurement

    def as_dict(self) -> dict[str, Any]:
        """The path, the formats, the comparison with PyTorch and the cost of int8, for JSON."""
        formats = self.bundle.manifest.formats
        found = [entry.parity for entry in formats.values() if entry.parity is not None]
        cost = next((entry.quantized for entry in formats.values() if entry.quantized is not None), None)
        score = self.measured.run.task.score.key
        return {
            "bundle": str(self.bundle.path),
            "formats": ["safetensors", *formats],
            "parity": {
                "images": min((parity.images for parity in found), default=0),
                "top1_equal": min((p.top1_equal for p in found if p.top1_equal is not None), default=None),
                "max_difference": max((parity.max_difference for parity in found), default=0.0),
            },
            **({f"{score}_fp32": cost.fp32, f"{score}_int8": cost.int8} if cost else {}),
            **({"int8_smaller": cost.smaller, "int8_faster": cost.faster} if cost else {}),
        }


def export_run(
    run: Run,
    out: Path | None = None,
    *,
    data: Any = None,
    formats: Collection[str] = (),
    quantize: bool = False,
    max_drop: float = 0.01,
    with_resize: bool = False,
    facts: dict[str, str | None] | None = None,
) -> Export:
    """Export a run as a bundle.

    Args:
        run: The run.
        out: The folder to write. Default: bundles/NAME of the run.
        data: The data of a run that was trained on data in memory.
        formats: Further formats: "onnx", "pt2".
        quantize: Whether to write an int8 model as well.
        max_drop: The largest loss of the main metric by int8.
        with_resize: Whether to write an ONNX model of whole images as well.
        facts: "name", "version" and "license" of the model.

    Returns:
        The bundle, which is checked.

    Raises:
        ConvnetError: The run is not finished, its data is missing, a format cannot express the network or
            predicts differently, or int8 costs too much. Then nothing is written.
    """
    if unknown := set(formats) - set(FORMATS):
        raise RecipeError(f"format is {' or '.join(FORMATS)}, got '{min(unknown)}'")
    _require_served_names(facts or {})
    if not describable(run):
        formats = {*formats, "onnx"}
    _require_installed(formats, quantize or with_resize)
    if with_resize and (run.modality != "images" or run.task.target.dense):
        raise RecipeError(f"--with-resize applies to classifiers of images; this is a {run.task.name} run")
    out = out or Path("bundles") / run.path.name
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} is not empty; choose another folder with --out")
    source = ExportSource(run, evaluate_run(run, data))
    _require_same_figures(source)
    files = _weights_and_record(source)
    entries = {}
    if "onnx" in formats or quantize or with_resize:
        files[ONNX], entries[ONNX] = onnx_format(source, facts or {})
    if with_resize:
        files[FULL], entries[FULL] = full_image_format(source, files[ONNX])
    if "pt2" in formats:
        files[PROGRAM], entries[PROGRAM] = program_format(source)
    if quantize:
        files[INT8], entries[INT8] = int8_format(source, files[ONNX], max_drop)
    manifest = manifest_of(source, files, entries, facts or {})
    path = write_bundle(out, manifest, files, card_facts(source))
    return Export(load_bundle(path), source.measured)


def _require_served_names(facts: dict[str, str | None]) -> None:
    """Name and version are parts of the addresses of a server."""
    for key in ("name", "version"):
        value = facts.get(key)
        if value is not None and (not value.strip() or "/" in value or not value.isprintable()):
            raise RecipeError(
                f"{key} {value!r}: must be printable text without '/', because servers use it in URLs"
            )


def _require_installed(formats: Collection[str], quantize: bool) -> None:
    needed = ("onnx", "onnxscript", "onnxruntime") if "onnx" in formats or quantize else ()
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ModelError(f"ONNX needs {', '.join(missing)}: pip install 'convnet[export]'")


def _require_same_figures(source: ExportSource) -> None:
    """Compare the evaluation with the figures that training stored."""
    run, score = source.run, source.run.task.score
    stored = (run.result["test"] or run.result["val"] or {}).get(score.key)
    found = source.measured.evaluation.score
    if stored is None or found is None or source.measured.run.data.get("opened"):
        return
    if abs(stored - found) > (0.01 if score.decibels else 1e-3):
        raise ModelError(
            f"{run.path}: its {score.label} is now {score.show(found)}, and was {score.show(stored)} at the "
            "end of training; the data or the weights have changed. Train the run again"
        )


def _weights_and_record(source: ExportSource) -> dict[str, bytes]:
    run = source.run
    outputs = run.predictor.backend.outputs(source.golden)
    state = run.predictor.model.state_dict()
    weights = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    record = {f"{RECORD}/{name}": run.folder.read(name).encode() for name in RECORDED}
    header = {"format": "pt", "convnet": version("convnet")}
    return {WEIGHTS: to_bytes(weights, header), GOLDEN: golden_bytes(source.golden, outputs), **record}
