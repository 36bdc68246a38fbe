"""`OutputKind`, `Prediction` and `Labels`: how outputs are turned into predictions."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from convnet.outputs.calibration import UNCALIBRATED, Calibration

Picture = NDArray[np.uint8]
"""uint8 H×W×C."""


@dataclass(frozen=True)
class Labels:
    """The names of a network's outputs, and how they are shown.

    Attributes:
        classes: Class names, in the order of the outputs.
        thresholds: The probability from which a label applies, by class (multi-label tasks).
        colors: The color of a class over an image, "#rrggbb", by class.
        values: The value of each class in mask files, by class. Default: its index.
        series: Whether samples are series; an output per position is then one per step.
        calibration: How class probabilities are calibrated, and when a sample is unknown (classification).
    """

    classes: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    colors: Mapping[str, str] = field(default_factory=dict)
    values: tuple[int, ...] = ()
    series: bool = False
    calibration: Calibration = UNCALIBRATED


class Prediction(ABC):
    """The prediction for one sample."""

    location: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.as_text(3)}"

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """The prediction as plain values, for JSON."""

    @abstractmethod
    def as_text(self, top: int) -> str:
        """The prediction as one line of text, with at most `top` classes."""

    def files(self) -> dict[str, bytes]:
        """The prediction as PNG files, by the keys of the kind's `writes`."""
        return {}

    def rows(self) -> list[tuple[object, ...]]:
        """The prediction as rows of a table with the kind's `columns`."""
        return []


class OutputKind(ABC):
    """A kind of outputs.

    Attributes:
        name: The name of the task.
        dense: Whether there is an output at every position of the sample.
        exclusive: Whether a sample has exactly one class.
        writes: The files of a prediction: keys, and the word added to the name of the input file. Empty if
            predictions are printed.
        columns: The columns of predictions that are written as rows of a table.
    """

    name: str
    dense: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    writes: Mapping[str, str] = MappingProxyType({})
    columns: tuple[str, ...] = ()

    @abstractmethod
    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> Prediction:
        """The prediction for one sample.

        Args:
            location: The path of the sample.
            outputs: The network's outputs for it, K or K×H×W.
            image: The sample as it was read, C×H×W.
            labels: The names of the outputs.

        Returns:
            The prediction.
        """


def as_picture(image: NDArray[Any]) -> Picture:
    """C×H×W, 0…255 → uint8 H×W×1 or H×W×3; other numbers of channels are cut to the first, or first three."""
    image = image[: 3 if len(image) >= 3 else 1]
    picture: Picture = np.rint(image).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return picture


def to_png(image: PIL.Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
