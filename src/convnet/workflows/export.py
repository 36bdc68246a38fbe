"""Export a run as a bundle, and check that every format predicts the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data import Loader, location, read_sample, read_split
from convnet.data.images.decode import read_picture
from convnet.data.images.resize import resize
from convnet.errors import ModelError, RecipeError
from convnet.export.bundle import CARD, FULL, INT8, ONNX, PROGRAM, WEIGHTS, Bundle, load_bundle
from convnet.export.deployed import Deployed, as_program, deployed, dynamic_axes
from convnet.export.full_image import LARGEST_DIFFERENCE, full_image_bytes
from convnet.export.golden import GOLDEN, golden_bytes
from convnet.export.manifest import SCHEMA, Format, Manifest, Parity, Quantized
from convnet.export.network import ENCODER
from convnet.export.onnx_backend import OnnxRuntimeBackend
from convnet.export.onnx_model import OPSET, onnx_bytes, program_bytes
from convnet.export.quantize import quantized_bytes
from convnet.export.torch_program import ProgramBackend
from convnet.export.verify import answers, compare
from convnet.export.write import write_bundle
from convnet.layers import sizes_of
from convnet.models import MODELS
from convnet.prediction import Backend
from convnet.tensor_file import to_bytes
from convnet.types import evaluation_batch
from convnet.workflows.bundle_run import RECORD, RECORDED, BackendModule
from convnet.workflows.evaluate import Measurement, evaluate_run, evaluation_of
from convnet.workflows.run import Run

FORMATS = ("onnx", "pt2")
GOLDEN_SAMPLES = 8
CHECKED, CHECKED_DENSE = 1000, 16
"""Held-out samples that are compared; fewer where there is an output per pixel."""
WHOLE = 100
"""Held-out images that are compared at their own size."""
CALIBRATED = 256
"""Training samples on which the ranges of int8 activations are measured."""


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
        }


@dataclass(frozen=True)
class _Source:
    """A run, its held-out samples and its network as one module."""

    run: Run
    measured: Measurement

    @cached_property
    def held_out(self) -> torch.Tensor:
        """The indices of the held-out samples."""
        return self.measured.evaluation.indices

    def samples(self, indices: torch.Tensor, most: int) -> Iterator[NDArray[Any]]:
        """Up to `most` samples, evenly spaced, in batches N×C×H×W as they are read."""
        chosen = torch.tensor(_spread(indices, most))
        dataset, shape = self.measured.dataset, self.run.shape
        for batch in Loader(dataset, chosen, evaluation_batch(shape)).epoch():
            yield batch.images[:, :, : shape.height, : shape.width].contiguous().numpy()

    @cached_property
    def golden(self) -> NDArray[Any]:
        """The samples of golden.npz."""
        return np.concatenate(list(self.samples(self.held_out, GOLDEN_SAMPLES)))

    @cached_property
    def module(self) -> Deployed:
        """The network with everything from samples to probabilities."""
        example = torch.from_numpy(self.golden)
        return deployed(self.run.model, self.run.task, self.run.calibration, example)

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The module as a graph."""
        example = torch.from_numpy(np.resize(self.golden, (2, *self.golden.shape[1:])))
        given = example if self.module.prepare else self.run.task.prepare_input(example)
        return as_program(self.module, given, series=self.run.modality == "series")

    def checked(self) -> Iterator[NDArray[Any]]:
        """The samples by which exported models are compared with the network: golden and held-out ones."""
        dense = self.run.task.target.dense
        yield self.golden
        yield from self.samples(self.held_out, CHECKED_DENSE if dense else CHECKED)

    def whole_images(self) -> Iterator[NDArray[Any]]:
        """Held-out images at their own size, 1×C×H×W, from their files where they have any."""
        dataset, spec = self.measured.dataset, self.run.inputs
        chosen = self.held_out[
            torch.linspace(0, len(self.held_out) - 1, min(WHOLE, len(self.held_out))).long()
        ]
        for index in chosen.tolist():
            path = Path(location(dataset, index))
            if path.is_file():
                yield read_picture(path, spec.shape.channels, background=spec.preprocess.background)[None]
            else:
                yield read_sample(dataset, index).images.numpy()

    def compare(self, name: str, backend: Backend) -> Parity:
        """Compare an exported model with the network."""
        kind, temperature = self.run.task.outputs_kind, self.run.calibration.temperature
        network, enlarged = self.run.predictor.backend, not self.module.prepare

        def expected(samples: NDArray[Any]) -> NDArray[np.floating]:
            return answers(network.outputs(samples), kind, temperature)

        def found(samples: NDArray[Any]) -> NDArray[np.floating]:
            given = self.run.task.prepare_input(torch.from_numpy(samples)).numpy() if enlarged else samples
            return answers(backend.outputs(given), kind, temperature)

        try:
            return compare(name, expected, found, self.checked(), kind)
        except ModelError as error:
            raise ModelError(f"{error}. Nothing was exported") from None


def _spread(indices: torch.Tensor, most: int) -> list[int]:
    """Up to `most` indices, evenly spaced."""
    places = torch.linspace(0, len(indices) - 1, min(most, len(indices))).long()
    found: list[int] = indices[places].tolist()
    return found


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
    _require_installed(formats, quantize or with_resize)
    if with_resize and (run.modality != "images" or run.task.target.dense):
        raise RecipeError(f"--with-resize applies to classifiers of images; this is a {run.task.name} run")
    out = out or Path("bundles") / run.path.name
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} is not empty; choose another folder with --out")
    source = _Source(run, evaluate_run(run, data))
    _require_same_figures(source)
    files = _weights_and_record(source)
    entries = {}
    if not _describable(run):
        formats = {*formats, "pt2"}
    if "onnx" in formats or quantize or with_resize:
        files[ONNX], entries[ONNX] = _onnx(source, facts or {})
    if with_resize:
        files[FULL], entries[FULL] = _full_image(source, files[ONNX])
    if "pt2" in formats:
        files[PROGRAM] = program_bytes(source.program)
        parity = source.compare(PROGRAM, ProgramBackend.open(files[PROGRAM], PROGRAM))
        entries[PROGRAM] = Format(dynamic=dynamic_axes(source.program), parity=parity)
    if quantize:
        files[INT8], entries[INT8] = _int8(source, files[ONNX], max_drop)
    manifest = _manifest(source, files, entries, facts or {})
    path = write_bundle(out, manifest, files, _card_facts(source))
    return Export(load_bundle(path), source.measured)


def _require_installed(formats: Collection[str], quantize: bool) -> None:
    needed = ("onnx", "onnxscript", "onnxruntime") if "onnx" in formats or quantize else ()
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ModelError(f"ONNX needs {', '.join(missing)}: pip install 'convnet[export]'")


def _require_same_figures(source: _Source) -> None:
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


def _describable(run: Run) -> bool:
    """Whether the network can be built again from its name and options, without code of the user's."""
    model = run.recipe.model
    return model.name in MODELS and ENCODER not in str(model.options.get("stages", ""))


def _weights_and_record(source: _Source) -> dict[str, bytes]:
    run = source.run
    outputs = run.predictor.backend.outputs(source.golden)
    state = run.predictor.model.state_dict()
    weights = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    record = {f"{RECORD}/{name}": run.folder.read(name).encode() for name in RECORDED}
    header = {"format": "pt", "convnet": version("convnet")}
    return {WEIGHTS: to_bytes(weights, header), GOLDEN: golden_bytes(source.golden, outputs), **record}


def _onnx(source: _Source, facts: dict[str, str | None]) -> tuple[bytes, Format]:
    run = source.run
    rule = run.calibration.unknown
    metadata = {
        "name": facts.get("name") or run.path.name,
        "task": run.task.name,
        "classes": list(run.classes),
        "preprocess": run.recipe.preprocess.model_dump(mode="json"),
        "shape": list(run.shape),
        "temperature": run.calibration.temperature,
        "unknown": None if rule is None else {"score": rule.score, "threshold": rule.threshold},
        "thresholds": run.result.get("thresholds", {}),
    }
    content = onnx_bytes(source.program, source.module.output_names, metadata)
    parity = source.compare(ONNX, OnnxRuntimeBackend.open(content, ONNX))
    return content, Format(opset=OPSET, dynamic=dynamic_axes(source.program), parity=parity)


def _full_image(source: _Source, model: bytes) -> tuple[bytes, Format]:
    run = source.run
    content = full_image_bytes(model, run.shape, run.recipe.preprocess)
    backend = OnnxRuntimeBackend.open(content, FULL)
    kind, temperature, spec = run.task.outputs_kind, run.calibration.temperature, run.inputs
    network = run.predictor.backend

    def expected(images: NDArray[Any]) -> NDArray[np.floating]:
        pixels = resize(images[0].transpose(1, 2, 0), spec.shape[1:], spec.preprocess.resizing)
        return answers(network.outputs(pixels.transpose(2, 0, 1)[None]), kind, temperature)

    def found(images: NDArray[Any]) -> NDArray[np.floating]:
        return answers(backend.outputs(images), kind, temperature)

    parity = compare(FULL, expected, found, source.whole_images(), kind, LARGEST_DIFFERENCE)
    return content, Format(opset=OPSET, dynamic=["height", "width"], parity=parity)


def _int8(source: _Source, model: bytes, max_drop: float) -> tuple[bytes, Format]:
    run, measured = source.run, source.measured
    dataset = measured.dataset
    split = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
    content = quantized_bytes(model, source.samples(split.train, CALIBRATED))
    backend = OnnxRuntimeBackend.open(content, INT8)
    after = evaluation_of(run, dataset, source.held_out, BackendModule(backend).eval()).score
    before, score = measured.evaluation.score, run.task.score
    if before is None or after is None:
        raise ModelError(f"{run.path}: the held-out split has no targets, so int8 cannot be measured")
    limit = 100 * max_drop if score.decibels else max_drop
    if before - after > limit:
        raise ModelError(
            f"int8 lowers the {score.label} from {score.show(before)} to {score.show(after)} (n = "
            f"{len(measured.evaluation):,}), more than --max-drop {max_drop:g} allows. Nothing was exported; "
            "raise --max-drop, or leave out --quantize"
        )
    cost = Quantized(samples=len(measured.evaluation), score=score.key, fp32=before, int8=after)
    return content, Format(opset=None, dynamic=dynamic_axes(source.program), quantized=cost)


def _manifest(
    source: _Source, files: dict[str, bytes], formats: dict[str, Format], facts: dict[str, str | None]
) -> Manifest:
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
        "network": described if _describable(run) else None,
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


def _card_facts(source: _Source) -> dict[str, Any]:
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
