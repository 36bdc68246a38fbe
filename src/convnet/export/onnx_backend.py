"""`OnnxBackend`: an ONNX model computed by ONNX Runtime or OpenVINO, without torch."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.cores import available_cores
from convnet.errors import ModelError, in_one_line
from convnet.export.onnx_runtimes import RUNTIMES, Compute, Graph

DIVIDED = 4
"""Batches of at least so many samples per thread are divided among the threads."""
LARGEST_PART = 16
"""The most samples of a part: activations of larger parts leave the caches of the processor."""


@dataclass(frozen=True)
class OnnxBackend:
    """Computes outputs with ONNX Runtime or OpenVINO.

    A few samples are computed by all threads together, which takes the least time for one. A large batch is
    divided into parts, and each thread computes a part alone, because threads then do not wait for each
    other after every layer. There are two parts per thread or more, so that a thread which is interrupted
    takes fewer.

    Attributes:
        name: The runtime: "onnxruntime" or "openvino".
        content: The content of the .onnx file.
        place: The file, for messages.
        threads: The number of threads.
        graph: How far the graph is optimized.
    """

    name: str
    content: bytes
    place: str
    threads: int
    graph: Graph = "all"

    @classmethod
    def open(
        cls, name: str, content: bytes, place: str, threads: int | None = None, graph: Graph = "all"
    ) -> OnnxBackend:
        """Open the content of an .onnx file.

        Raises:
            ModelError: It cannot be read.
        """
        backend = cls(name, content, place, threads or available_cores(), graph)
        _ = backend._together
        return backend

    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        given = np.ascontiguousarray(images)
        try:
            if self.threads == 1 or len(given) < DIVIDED * self.threads:
                return self._together(given)
            rounds = math.ceil(len(given) / (self.threads * LARGEST_PART))
            parts = np.array_split(given, self.threads * max(2, rounds))
            return np.concatenate(list(self._pool.map(self._apart, parts)))
        except Exception as error:  # the runtimes raise types of their own
            raise ModelError(
                f"{self.place}: fails on samples {images.shape}: {in_one_line(error)}"
            ) from error

    @cached_property
    def _together(self) -> Compute:
        return self._opened(streams=1)

    @cached_property
    def _apart(self) -> Compute:
        return self._opened(streams=self.threads)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="model")

    def _opened(self, streams: int) -> Compute:
        try:
            return RUNTIMES[self.name](self.content, self.threads, streams, self.graph)
        except Exception as error:  # the runtimes raise types of their own
            raise ModelError(f"{self.place}: cannot be opened: {in_one_line(error)}") from error
