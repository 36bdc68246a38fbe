"""`Predictor`: a trained network with its task, its inputs and the names of its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from convnet.layers import Network
from convnet.prediction.dense import DenseMap, dense_map
from convnet.prediction.inputs import InputSpec, read_inputs
from convnet.tasks import Labels, Prediction, Task


@dataclass(frozen=True)
class Predictor:
    """Predicts files with a trained network.

    Attributes:
        name: Its name in messages: the folder of a run or a bundle.
        model: The network in evaluation mode on the CPU; takes uint8 pixels or numbers as they are read.
        task: The meaning of the outputs.
        inputs: How files are read.
        labels: The names, thresholds and colors of the outputs.
    """

    name: str
    model: Network
    task: Task
    inputs: InputSpec
    labels: Labels

    def predict(self, files: Sequence[str | Path], *, tile: int | None = None) -> list[Prediction]:
        """Predict files in the order given.

        Args:
            files: Images, or tables or files of series if the network takes those.
            tile: For tasks with an output per pixel: compute large images in tiles of tile×tile pixels.

        Returns:
            One prediction per image, row or series.

        Raises:
            DataError: A file is missing, cannot be read or does not fit the network.
            ModelError: The network does not take images of that size.
        """
        return list(self.iter_predictions(files, tile=tile))

    def iter_predictions(
        self, files: Sequence[str | Path], *, tile: int | None = None
    ) -> Iterator[Prediction]:
        """As `predict`, one prediction at a time, so that not all have to fit into memory."""
        for file in files:
            for batch in read_inputs(self.inputs, Path(file), dense=self.task.target.dense):
                with torch.no_grad():
                    given = self.task.prepare_input(batch.images)
                    outputs = self.task.outputs_for(self.model, given, tile)
                for i, location in enumerate(batch.locations):
                    sample = slice(i, i + 1)
                    yield self.task.prediction(location, outputs[sample], batch.images[sample], self.labels)

    def dense(self, photo: str | Path, *, scale: float = 1.0) -> DenseMap:
        """Classify every window of a photo in one pass (sliding-window classification).

        Args:
            photo: An image file, at least as large as the network's images.
            scale: The factor by which the photo is resized first, 0.01…16.

        Returns:
            The class probabilities of every window.

        Raises:
            DataError: The photo cannot be read or is too small.
            RunError: The network is not an image classifier.
            RecipeError: The scale is out of range.
            ModelError: A layer of the network depends on the image size.
        """
        return dense_map(self.name, self.model, self.task, self.inputs, self.labels, Path(photo), scale)
