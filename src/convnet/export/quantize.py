"""int8 models: static quantization per channel, calibrated on training samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convnet.errors import ModelError, in_one_line
from convnet.export.onnx_model import INPUT

QUANTIZED = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
)
"""The operators with a fast int8 version."""


def quantized_bytes(model: bytes, samples: Iterator[NDArray[Any]]) -> bytes:
    """An ONNX model with int8 weights (per channel) and uint8 activations, as the content of a file.

    Weights have 7 bits, so that sums do not overflow on processors without VNNI and every machine computes
    the same.

    Args:
        model: The fp32 model.
        samples: Batches of training samples N×C×H×W, on which the ranges of activations are measured.

    Raises:
        ModelError: The model cannot be quantized.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[Any]] | None:
            batch = next(samples, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder:
        given, prepared, made = (Path(folder) / name for name in ("given.onnx", "prepared.onnx", "made.onnx"))
        given.write_bytes(model)
        try:
            quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(made),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTIZED),
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True},  # outliers would make all steps coarse
            )
        except Exception as error:  # the quantizer raises nearly anything
            raise ModelError(f"the network cannot be quantized: {in_one_line(error)}") from error
        return made.read_bytes()
