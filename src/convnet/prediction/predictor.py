"""`Predictor`: a trained network with its inputs and the meaning of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.cores import available_cores
from convnet.errors import DataError
from convnet.outputs import Labels, OutputKind, Prediction
from convnet.prediction.backend import Backend
from convnet.prediction.files import InputFile, input_files
from convnet.prediction.inputs import Inputs, InputSpec, read_inputs
from convnet.types import evaluation_batch

Failed = Callable[[InputFile, DataError], None]


@dataclass(frozen=True)
class Predictor:
    """Predicts files with a trained network.

    Attributes:
        name: Its name in messages: the folder of a run or a bundle.
        backend: Computes the outputs of the network for samples as they are read.
        kind: How outputs are turned into predictions.
        inputs: How files are read.
        labels: The names, thresholds and colors of the outputs.
        version: The checksum of a bundle, and its precision.
    """

    name: str
    backend: Backend
    kind: OutputKind
    inputs: InputSpec
    labels: Labels
    version: str = ""

    def identity(self) -> str:
        """What changes when the network or its precision does."""
        return self.version

    def predict(self, inputs: Any, *, tile: int | None = None) -> list[Prediction]:
        """Predict files or images in memory, in the order given.

        Args:
            inputs: A path, a pattern, a PIL image or an array, or a sequence of these; see `input_files`.
            tile: For tasks with an output per pixel: compute large images in tiles of tile×tile pixels.

        Returns:
            One prediction per image, row or series.

        Raises:
            DataError: A file is missing, cannot be read or does not fit the network.
            ModelError: The network does not take images of that size.
        """
        return list(self.iter_predictions(self.files(inputs), tile=tile))

    def files(self, inputs: Any) -> list[InputFile]:
        """The files that `inputs` stand for; see `input_files`."""
        spec = self.inputs
        return input_files(inputs, spec.kind, spec.shape.channels, spec.preprocess.white)

    def iter_predictions(
        self, files: Iterable[InputFile], *, tile: int | None = None, failed: Failed | None = None
    ) -> Iterator[Prediction]:
        """As `predict`, one prediction at a time, so that not all have to fit into memory.

        Args:
            files: The files.
            tile: As for `predict`.
            failed: Called with each file that cannot be predicted and the error; the others are predicted.
                Default: the first such file raises.
        """
        for batch, outputs in self.iter_outputs(files, tile=tile, failed=failed):
            for i, location in enumerate(batch.locations):
                yield self.kind.prediction(location, outputs[i], batch.images[i], self.labels)

    def iter_outputs(
        self, files: Iterable[InputFile], *, tile: int | None = None, failed: Failed | None = None
    ) -> Iterator[tuple[Inputs, NDArray[np.float32]]]:
        """The samples of files in batches, and the network's outputs for them; see `iter_predictions`."""
        for batch in self.read(files, failed=failed):
            outputs = self.backend.outputs(batch.images, tile)
            if not np.isfinite(outputs).all():
                wrong = ~np.isfinite(outputs).reshape(len(outputs), -1).all(1)
                raise DataError(
                    f"{batch.locations[int(wrong.argmax())]}: the outputs of the network are not finite; its "
                    "values are too large"
                )
            yield batch, outputs

    def read(self, files: Iterable[InputFile], *, failed: Failed | None = None) -> Iterator[Inputs]:
        """The samples of files in batches; images of one size are decoded in threads and stacked.

        Raises:
            DataError: A file cannot be read and `failed` is None.
        """
        dense = self.kind.dense
        stacked = self.inputs.modality == "images" and not dense
        size = evaluation_batch(self.inputs.shape) if stacked else 1

        def read(file: InputFile) -> list[Inputs] | DataError:
            try:
                return list(read_inputs(self.inputs, file, dense=dense))
            except DataError as error:
                return error

        waiting = iter(files)

        def started() -> tuple[list[InputFile], Iterator[list[Inputs] | DataError]]:
            chunk = list(islice(waiting, size))
            in_memory = all(file.pixels is not None for file in chunk)
            return chunk, map(read, chunk) if in_memory else self._decoders.map(read, chunk)

        following = started()
        while following[0]:
            (chunk, results), following = following, started()  # one chunk is decoded in advance
            found: list[Inputs] = []
            for file, result in zip(chunk, results, strict=True):
                if not isinstance(result, DataError):
                    found += result
                elif failed is None:
                    raise result
                else:
                    failed(file, result)
            if stacked and len(found) > 1:
                locations = [location for part in found for location in part.locations]
                found = [Inputs(locations, np.concatenate([part.images for part in found]))]
            yield from found

    @cached_property
    def _decoders(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(available_cores(), thread_name_prefix="decode")
