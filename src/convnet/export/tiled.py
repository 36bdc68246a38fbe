"""Outputs per pixel for images of any size, computed in tiles; see `convnet.layers.tiling`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.export.manifest import SizesEntry
from convnet.layers import Sizes, tiled_outputs
from convnet.prediction.backend import Backend
from convnet.tasks import Task


@dataclass(frozen=True)
class TiledBackend:
    """A backend whose images are padded and divided as the network needs.

    Attributes:
        inner: Computes the outputs of one piece.
        sizes: The sizes that the network takes.
        task: The task, which enlarges images if `sizes.enlarged`.
    """

    inner: Backend
    sizes: SizesEntry
    task: Task

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self.inner.name

    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        said = self.sizes
        fixed = (said.fixed[0], said.fixed[1]) if said.fixed else None
        sizes = Sizes(said.multiple, said.remainder, said.shrink, said.context, fixed)

        def run(piece: Tensor) -> Tensor:
            return torch.from_numpy(self.inner.outputs(piece.numpy()))

        given = torch.from_numpy(np.require(images, requirements="W"))
        found = tiled_outputs(run, self.task.prepare_input(given) if said.enlarged else given, sizes, tile)
        made: NDArray[np.float32] = found.numpy()
        return made
