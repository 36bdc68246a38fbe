"""`ServedModel`: one version of a bundle, opened and checked."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convnet.data.images.decode import header_size
from convnet.data.images.pixels import DecodeError
from convnet.errors import DataError, ModelError
from convnet.export import Bundle
from convnet.export.golden import replay
from convnet.outputs import Prediction
from convnet.prediction.files import InputFile
from convnet.prediction.inputs import read_inputs
from convnet.serving.batcher import Batcher, Sample
from convnet.serving.errors import ApiError
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics

logger = logging.getLogger(__name__)


class ServedModel:
    """A bundle that answers requests.

    Args:
        bundle: The bundle; its golden samples are computed first, which also warms it up.
        limits: The limits of the server.
        metrics: The metrics of the server.
        decoders: The threads that decode images.

    Raises:
        ModelError: The bundle is damaged, or predicts otherwise than when it was exported.
    """

    def __init__(
        self, bundle: Bundle, limits: Limits, metrics: Metrics, decoders: ThreadPoolExecutor
    ) -> None:
        replay(bundle)
        self.bundle, self.manifest, self.predictor = bundle, bundle.manifest, bundle.predictor
        self.name, self.version = self.manifest.name, self.manifest.version
        self._limits, self._metrics, self._decoders = limits, metrics, decoders
        self._users = 0
        self._closing = False
        self.batched = self.predictor.inputs.modality == "images" and not self.predictor.kind.dense
        self.batcher = Batcher(self.predictor.backend, limits, metrics, (self.name, self.version))
        self._single = ThreadPoolExecutor(1, thread_name_prefix="single")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """A block in which the model is not closed."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._closing and not self._users:
                self._end()

    def close(self) -> None:
        """End the threads of the model when the last request has its answer."""
        self._closing = True
        if not self._users:
            self._end()

    def _end(self) -> None:
        self.batcher.close()
        self._single.shutdown(wait=False)

    async def predict(self, contents: list[bytes], suffix: str) -> list[Prediction]:
        """The predictions for the content of files.

        Args:
            contents: The bytes of each file.
            suffix: The suffix of their names, for tables and series.

        Raises:
            ApiError: A file cannot be read (422), is too large (413), or the model fails (500).
        """
        if self.batched:
            return await self._in_batches(contents)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._single, self._one_by_one, contents, suffix)
        except (DataError, ModelError) as error:
            raise ApiError(422, str(error)) from error

    async def _in_batches(self, contents: list[bytes]) -> list[Prediction]:
        """Decode in threads, and compute together with the samples of other requests."""
        loop, announced = asyncio.get_running_loop(), len(contents)
        self.batcher.announce(announced)
        decoding = [
            loop.run_in_executor(self._decoders, self._decoded, place, content)
            for place, content in enumerate(contents)
        ]
        try:
            samples = await asyncio.gather(*decoding)
            computing = [self.batcher.submit(sample) for sample in samples]
            announced = 0
        except DataError as error:
            raise ApiError(422, str(error)) from error
        finally:
            if announced:
                self.batcher.announce(-announced)
                for job in decoding:  # those that have not begun
                    job.cancel()
        try:
            outputs = await asyncio.gather(*computing)
        except Exception as error:  # whatever a model raises
            logger.error("the model %s failed: %s: %s", self.name, type(error).__name__, error)
            raise ApiError(
                500, "the model failed on this input; the log of the server has the reason"
            ) from error
        kind, labels = self.predictor.kind, self.predictor.labels
        return [
            kind.prediction(_location(place), found, sample, labels)
            for place, (found, sample) in enumerate(zip(outputs, samples, strict=True))
        ]

    def _decoded(self, place: int, content: bytes) -> Sample:
        begun = time.perf_counter()
        self._require_pixels(place, content)
        file = InputFile(_location(place), lambda: content)
        (found,) = read_inputs(self.predictor.inputs, file, dense=False)
        self._metrics.decoding.observe(time.perf_counter() - begun)
        sample: Sample = found.images[0]
        return sample

    def _one_by_one(self, contents: list[bytes], suffix: str) -> list[Prediction]:
        """Outputs per pixel, tables and series, which are not batched."""
        if self.predictor.inputs.modality == "images":
            for place, content in enumerate(contents):
                self._require_pixels(place, content)
            files = [InputFile(_location(i), lambda c=c: c) for i, c in enumerate(contents)]  # type: ignore[misc]
            return list(self.predictor.iter_predictions(files))
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{place}{suffix}" for place in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            try:
                return self.predictor.predict(paths)
            except DataError as error:
                raise DataError(str(error).replace(f"{folder}/", "file ")) from error

    def _require_pixels(self, place: int, content: bytes) -> None:
        try:
            size = header_size(content)
        except DecodeError as error:
            raise ApiError(413, f"{_location(place)}: {error.reason}") from None
        if size is not None and size[0] * size[1] > self._limits.pixels:
            raise ApiError(
                413, f"{_location(place)}: {size[0]}×{size[1]} pixels; the limit is {self._limits.pixels:,}"
            )

    def describe(self) -> dict[str, Any]:
        """What clients need to know of the model."""
        given = self.manifest.inputs
        return {
            "name": self.name,
            "version": self.version,
            "task": self.manifest.task.name,
            "classes": self.manifest.outputs.classes,
            "input": {"modality": given.modality, "shape": given.shape},
            "backend": self.predictor.backend.name,
            "precision": self.bundle.precision,
        }


def _location(place: int) -> str:
    return f"image {place}"
