"""An output image for each image."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from convnet.outputs.kind import Labels, OutputKind, Picture, Prediction, as_picture, to_png


@dataclass(frozen=True, repr=False)
class ImagePrediction(Prediction):
    """An output image, H×W×C."""

    location: str
    image: Picture

    def as_dict(self) -> dict[str, Any]:
        """The path of the input image."""
        return {"image": self.location}

    def as_text(self, top: int) -> str:
        """The path of the input image."""
        return self.location

    def files(self) -> dict[str, bytes]:
        """The image."""
        return {"made": self.png()}

    def png(self) -> bytes:
        """The image as a PNG."""
        gray = self.image.shape[2] == 1
        return to_png(PIL.Image.fromarray(self.image[:, :, 0] if gray else self.image))


class ImageOutputs(OutputKind):
    """An image C×H×W with values 0…1.

    Args:
        name: The name of the task, which is added to the name of the input file.
    """

    dense = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.writes = MappingProxyType({"made": name})

    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> ImagePrediction:
        """The output image."""
        return ImagePrediction(location, as_picture(255 * outputs.clip(0, 1)))
