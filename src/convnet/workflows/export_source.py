"""What is exported: a run, its held-out samples, and its network as one module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data import Loader, location, read_sample
from convnet.data.images.decode import read_picture
from convnet.errors import ModelError
from convnet.export.deployed import Deployed, as_program, deployed
from convnet.export.manifest import Parity
from convnet.export.verify import answers, compare
from convnet.prediction import Backend
from convnet.types import evaluation_batch
from convnet.workflows.evaluate import Measurement
from convnet.workflows.run import Run

GOLDEN_SAMPLES = 8
CHECKED, CHECKED_DENSE = 1000, 16
"""Held-out samples that are compared; fewer where there is an output per pixel."""
WHOLE = 100
"""Held-out images that are compared at their own size."""


@dataclass(frozen=True)
class ExportSource:
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
        for index in _spread(self.held_out, WHOLE):
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
