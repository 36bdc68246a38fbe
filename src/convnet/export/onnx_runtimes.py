"""ONNX Runtime and OpenVINO: open the content of an .onnx file, and compute its outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Compute = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Computes outputs; may be called from several threads at once."""
Graph = Literal["all", "extended"]
GRAPHS: dict[str, tuple[Graph, ...]] = {"onnxruntime": ("all", "extended"), "openvino": ("all",)}
"""The levels of optimization of each runtime: "all" also changes the layout of tensors in memory."""
SPIN = "1000"
"""Microseconds for which threads wait actively after a call: longer, they slow the decoding of images."""
LOGITS, IMAGE = "logits", "image"


def open_onnxruntime(content: bytes, threads: int, streams: int, graph: Graph) -> Compute:
    """Open a model with ONNX Runtime.

    Args:
        content: The content of the file.
        threads: The number of threads.
        streams: How many calls are computed at once; each has `threads / streams` threads.
        graph: The level of optimization.

    Returns:
        A function from samples to logits, or to images.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads // streams
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{graph.upper()}"
    )
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs = [_wanted([output.name for output in session.get_outputs()])]
    name = session.get_inputs()[0].name

    def compute(images: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(outputs, {name: images})[0]
        return found

    return compute


def open_openvino(content: bytes, threads: int, streams: int, graph: Graph) -> Compute:
    """Open a model with OpenVINO; see `open_onnxruntime`."""
    core = _openvino_core()
    model = core.read_model(content)
    hints = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
    }
    compiled = core.compile_model(model, "CPU", hints)
    wanted = compiled.output(_wanted([output.get_any_name() for output in model.outputs]))
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(streams):
        idle.put(compiled.create_infer_request())

    def compute(images: NDArray[Any]) -> NDArray[np.float32]:
        request = idle.get()
        try:
            return np.array(request.infer([images], share_inputs=True)[wanted], np.float32)
        finally:
            idle.put(request)

    return compute


@cache
def _openvino_core() -> Any:
    """One for the process: each replaces the stack of signal handlers, and restores it when it is deleted.

    If the first of two is deleted first, the second restores a stack that is gone, and the next signal ends
    the process.
    """
    import openvino

    return openvino.Core()


RUNTIMES: dict[str, Callable[[bytes, int, int, Graph], Compute]] = {
    "onnxruntime": open_onnxruntime,
    "openvino": open_openvino,
}


def _wanted(outputs: list[str]) -> str:
    """The output before the softmax, or the image."""
    return LOGITS if LOGITS in outputs else IMAGE
