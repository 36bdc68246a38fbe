"""The exported formats of a run, each with what was measured of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data import read_split
from convnet.data.images.resize import resize
from convnet.errors import ModelError
from convnet.export.bundle import FULL, INT8, ONNX, PROGRAM
from convnet.export.deployed import dynamic_axes
from convnet.export.full_image import LARGEST_DIFFERENCE, full_image_bytes
from convnet.export.manifest import Format, Quantized
from convnet.export.onnx_backend import OnnxBackend
from convnet.export.onnx_model import OPSET, onnx_bytes, program_bytes
from convnet.export.quantize import quantized_bytes
from convnet.export.torch_program import ProgramBackend
from convnet.export.tuning import median_seconds
from convnet.export.verify import answers, compare
from convnet.workflows.bundle_run import BackendModule
from convnet.workflows.evaluate import evaluation_of
from convnet.workflows.export_source import ExportSource

CALIBRATED = 256
"""Training samples on which the ranges of int8 activations are measured."""


def onnx_format(source: ExportSource, facts: dict[str, str | None]) -> tuple[bytes, Format]:
    """The ONNX model of resized samples."""
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
    parity = source.compare(ONNX, OnnxBackend.open("onnxruntime", content, ONNX))
    return content, Format(opset=OPSET, dynamic=dynamic_axes(source.program), parity=parity)


def full_image_format(source: ExportSource, model: bytes) -> tuple[bytes, Format]:
    """The ONNX model of whole images, made of that of resized samples."""
    run = source.run
    content = full_image_bytes(model, run.shape, run.recipe.preprocess)
    backend = OnnxBackend.open("onnxruntime", content, FULL)
    kind, temperature, spec = run.task.outputs_kind, run.calibration.temperature, run.inputs
    network = run.predictor.backend

    def expected(images: NDArray[Any]) -> NDArray[np.floating]:
        pixels = resize(images[0].transpose(1, 2, 0), spec.shape[1:], spec.preprocess.resizing)
        return answers(network.outputs(pixels.transpose(2, 0, 1)[None]), kind, temperature)

    def found(images: NDArray[Any]) -> NDArray[np.floating]:
        return answers(backend.outputs(images), kind, temperature)

    try:
        parity = compare(FULL, expected, found, source.whole_images(), kind, LARGEST_DIFFERENCE)
    except ModelError as error:
        raise ModelError(f"{error}. Nothing was exported") from None
    return content, Format(opset=OPSET, dynamic=["height", "width"], parity=parity)


def int8_format(source: ExportSource, model: bytes, max_drop: float) -> tuple[bytes, Format]:
    """The int8 model; refused if it loses more than `max_drop` of the main metric."""
    run, measured = source.run, source.measured
    dataset = measured.dataset
    split = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
    content = quantized_bytes(model, source.samples(split.train, CALIBRATED))
    backend = OnnxBackend.open("onnxruntime", content, INT8)
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
    slow, fast = median_seconds([OnnxBackend.open("onnxruntime", model, ONNX), backend], source.golden[:1])
    cost = Quantized(
        samples=len(measured.evaluation),
        score=score.key,
        fp32=before,
        int8=after,
        smaller=round(len(model) / len(content), 2),
        faster=round(slow / fast, 2),
    )
    return content, Format(opset=None, dynamic=dynamic_axes(source.program), quantized=cost)


def program_format(source: ExportSource) -> tuple[bytes, Format]:
    """The program of torch.export."""
    content = program_bytes(source.program)
    parity = source.compare(PROGRAM, ProgramBackend.open(content, PROGRAM))
    return content, Format(dynamic=dynamic_axes(source.program), parity=parity)
