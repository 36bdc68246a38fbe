"""ONNX models: samples as they are read in, calibrated probabilities out, everything else in the metadata."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from convnet.errors import ModelError, in_one_line
from convnet.export.deployed import dynamic_axes

if TYPE_CHECKING:
    import onnx
    from torch.export import ExportedProgram

OPSET = 18
"""Read by ONNX Runtime since 1.14, OpenVINO since 2023.1 and browsers."""
INPUT = "samples"


def onnx_bytes(program: ExportedProgram, names: tuple[str, ...], metadata: Mapping[str, Any]) -> bytes:
    """A program as the content of an .onnx file.

    Args:
        program: The exported network.
        names: The names of its outputs.
        metadata: Facts for clients, stored as JSON by name.

    Raises:
        ModelError: An operator has no counterpart in ONNX, or the model does not pass ONNX's checker.
    """
    import onnx

    axes = dynamic_axes(program)
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(names),
                verbose=False,
            )
        assert made is not None
        model = made.model_proto
        _strip(model)
        for key, value in sorted(metadata.items()):
            model.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
        _name_axes(model, axes)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter and the checker raise types of their own
        raise ModelError(f"the network cannot be exported to ONNX: {in_one_line(error)}") from error
    return bytes(model.SerializeToString())


def _strip(model: onnx.ModelProto) -> None:
    """Remove the stack traces of this machine, which the exporter notes beside every node."""
    model.producer_name, model.doc_string = "convnet", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string, graph.name = "", "convnet"
    for part in (graph, *model.functions):
        del part.metadata_props[:]
        for node in part.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]


def _name_axes(model: onnx.ModelProto, axes: list[str]) -> None:
    """Give the dynamic axes of the input their names: batch, height, width."""
    names = ("batch", "channels", "height", "width")
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim, names, strict=True):
        if name in axes:
            old = dimension.dim_param
            for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
                for other in value.type.tensor_type.shape.dim:
                    if old and other.dim_param == old:
                        other.dim_param = name


@contextmanager
def _quiet() -> Iterator[None]:
    """A block without the exporter's remarks, which are about its own internals."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def program_bytes(program: ExportedProgram) -> bytes:
    """A program as the content of a .pt2 file."""
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer)
    return buffer.getvalue()
