"""`Backend`: what computes the outputs of a network, with arrays in and out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """Computes the outputs of one network.

    Attributes:
        name: Its name in messages and measurements: "torch", "onnxruntime", "openvino".
    """

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """The outputs for samples as they are read.

        Args:
            images: uint8 pixels or float32 numbers, N×C×H×W.
            tile: For outputs per pixel: compute large images in tiles of tile×tile pixels.

        Returns:
            Outputs N×…: logits, or images with values 0…1.

        Raises:
            ModelError: The network does not take images of this size.
        """
        ...
