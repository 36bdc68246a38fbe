"""ONNX models computed by ONNX Runtime or OpenVINO, without torch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convnet.cores import available_cores
from convnet.errors import ModelError, in_one_line

LOGITS, IMAGE = "logits", "image"


@dataclass(frozen=True)
class OnnxRuntimeBackend:
    """Computes outputs with ONNX Runtime.

    Attributes:
        session: The session.
        output: The output that is computed.
        place: The file, for messages.
    """

    name: ClassVar[str] = "onnxruntime"
    session: Any
    output: str
    place: str

    @classmethod
    def open(cls, content: bytes, place: str, threads: int | None = None) -> OnnxRuntimeBackend:
        """Open the content of an .onnx file.

        Raises:
            ModelError: It cannot be read.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads would take a core from those that decode the next images.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises types of its own
            raise ModelError(f"{place}: cannot be opened: {in_one_line(error)}") from error
        names = [out.name for out in session.get_outputs()]
        return cls(session, LOGITS if LOGITS in names else IMAGE, place)

    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        given = np.ascontiguousarray(images)
        try:
            found: NDArray[np.float32] = self.session.run(
                [self.output], {self.session.get_inputs()[0].name: given}
            )[0]
        except Exception as error:  # the library raises types of its own
            raise ModelError(
                f"{self.place}: fails on samples {images.shape}: {in_one_line(error)}"
            ) from error
        return found


@dataclass(frozen=True)
class OpenVinoBackend:
    """Computes outputs with OpenVINO.

    Attributes:
        model: The compiled model.
        output: The output that is computed.
        place: The file, for messages.
    """

    name: ClassVar[str] = "openvino"
    model: Any
    output: Any
    place: str
    _requests: threading.local = field(default_factory=threading.local, repr=False)

    @classmethod
    def open(cls, content: bytes, place: str, threads: int | None = None) -> OpenVinoBackend:
        """Open the content of an .onnx file.

        Raises:
            ModelError: It cannot be read.
        """
        import openvino

        hints = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or available_cores(),
        }
        try:
            core = openvino.Core()
            model = core.read_model(content)
            wanted = next(out for out in model.outputs if out.get_any_name() in (LOGITS, IMAGE))
            compiled = core.compile_model(model, "CPU", hints)
        except Exception as error:  # the library raises types of its own
            raise ModelError(f"{place}: cannot be opened: {in_one_line(error)}") from error
        return cls(compiled, compiled.output(wanted.get_any_name()), place)

    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self.model.create_infer_request()
        try:
            found = request.infer([np.ascontiguousarray(images)], share_inputs=True)[self.output]
        except Exception as error:  # the library raises types of its own
            raise ModelError(
                f"{self.place}: fails on samples {images.shape}: {in_one_line(error)}"
            ) from error
        outputs: NDArray[np.float32] = np.array(found, np.float32)
        return outputs
