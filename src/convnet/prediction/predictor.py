"""A trained network with all it needs to answer: its task, its classes, how it takes inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from convnet.prediction.dense import DenseMap, dense_map
from convnet.prediction.inputs import InputSpec, read_inputs
from convnet.tasks import Labels, Prediction, Task


@dataclass(frozen=True)
class Predictor:
    """Predicts files with a trained network.

    Attributes:
        name: What messages call it: the folder of a run or a bundle.
        model: Pixels (or numbers) as they are read to outputs, in evaluation mode on the CPU.
        task: What the outputs mean.
        inputs: How files become inputs.
        labels: The names, thresholds and colors of the outputs.
    """

    name: str
    model: nn.Sequential
    task: Task
    inputs: InputSpec
    labels: Labels

    def predict(self, files: Sequence[str | Path], *, tile: int | None = None) -> list[Prediction]:
        """Predict files in the order given.

        Args:
            files: Images; tables of numbers or files of series where the network takes those.
            tile: Compute the outputs of large images in tiles of this many pixels a side; for tasks with an
                output per pixel.

        Raises:
            DataError: a file is missing or cannot be read, or does not have what the network takes.
            ModelError: the network does not take images of that size.
        """
        return list(self.iter_predictions(files, tile=tile))

    def iter_predictions(
        self, files: Sequence[str | Path], *, tile: int | None = None
    ) -> Iterator[Prediction]:
        """The same, one after the other: masks and images of many files need not fit into memory."""
        for file in files:
            for batch in read_inputs(self.inputs, Path(file), dense=self.task.target.dense):
                with torch.no_grad():
                    given = self.task.prepare_input(batch.images)
                    outputs = self.task.outputs_for(self.model, given, tile)
                for i, location in enumerate(batch.locations):
                    sample = slice(i, i + 1)
                    yield self.task.prediction(location, outputs[sample], batch.images[sample], self.labels)

    def dense(self, photo: str | Path, *, scale: float = 1.0) -> DenseMap:
        """The classes of all windows of a photo, which is first resized by `scale`.

        Raises:
            DataError: the photo cannot be read, or is smaller than the images of the network.
            RunError: the network is no classifier of images.
            RecipeError: the scale is out of range.
            ModelError: a layer of the network depends on the size of the image.
        """
        return dense_map(self.name, self.model, self.task, self.inputs, self.labels, Path(photo), scale)
