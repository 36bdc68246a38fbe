"""`NetworkPredictor`: a predictor whose network is a torch module, which can be looked into."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.layers import Network
from convnet.outputs import Labels
from convnet.prediction.dense import DenseMap, dense_map
from convnet.prediction.inputs import InputSpec
from convnet.prediction.predictor import Predictor
from convnet.tasks import Task


@dataclass(frozen=True)
class TorchBackend:
    """Computes outputs with a torch module on the CPU.

    Attributes:
        model: The network in evaluation mode; takes uint8 pixels or numbers as they are read.
        task: Prepares the inputs.
    """

    name: ClassVar[str] = "torch"
    model: Network
    task: Task

    @torch.no_grad()
    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        given = self.task.prepare_input(torch.from_numpy(np.require(images, requirements="W")))
        found: NDArray[np.float32] = self.task.outputs_for(self.model, given, tile).float().numpy()
        return found


class NetworkPredictor(Predictor):
    """A predictor with a torch module.

    Attributes:
        backend: The network and its task.
    """

    backend: TorchBackend

    @classmethod
    def of(cls, name: str, model: Network, task: Task, inputs: InputSpec, labels: Labels) -> NetworkPredictor:
        """The predictor of a network.

        Args:
            name: Its name in messages.
            model: The network in evaluation mode on the CPU.
            task: The meaning of the outputs.
            inputs: How files are read.
            labels: The names, thresholds and colors of the outputs.
        """
        return cls(name, TorchBackend(model, task), task.outputs_kind, inputs, labels)

    def identity(self) -> str:
        """A checksum of the weights."""
        digest = hashlib.sha256()
        for value in self.model.state_dict().values():
            digest.update(value.contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    @property
    def model(self) -> Network:
        """The network."""
        return self.backend.model

    @property
    def task(self) -> Task:
        """The task that the network was trained for."""
        return self.backend.task

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
