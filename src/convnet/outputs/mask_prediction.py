"""The predicted class of every pixel of an image, or of every step of a series."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageColor

from convnet.outputs.kind import Labels, OutputKind, Picture, Prediction, as_picture, to_png
from convnet.outputs.mask_colors import blended, class_colors


@dataclass(frozen=True, repr=False)
class MaskPrediction(Prediction):
    """A predicted mask.

    Attributes:
        location: The path of the image.
        indices: Class indices H×W.
        classes: The names of the K classes.
        colors: The color of each class, K×3.
        picture: The image, H×W×C.
        values: The value of each class in the file. Default: its index.
    """

    location: str
    indices: NDArray[np.int64]
    classes: tuple[str, ...]
    colors: NDArray[np.uint8]
    picture: Picture
    values: tuple[int, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of pixels of each class."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The fraction of pixels of each class."""
        return {"image": self.location, "classes": self.shares}

    def as_text(self, top: int) -> str:
        """The fraction of pixels of each class."""
        return self.location + "".join(f"  {name} {share:.1%}" for name, share in self.shares.items())

    def files(self) -> dict[str, bytes]:
        """The mask, and the image overlaid with the colors of the classes."""
        overlay = blended(self.picture, self.colors[self.indices])
        return {"mask": self.png(), "overlay": to_png(PIL.Image.fromarray(overlay))}

    def png(self) -> bytes:
        """The mask as a PNG in the values of the training masks, with a palette of the classes' colors.

        Gray where a class has the value 255, which means no class in a palette, and for values above it.
        """
        values = np.array(self.values or range(len(self.classes)))
        written = values[self.indices]
        if values.max() >= 255:
            kind = np.uint8 if values.max() == 255 else np.uint16
            return to_png(PIL.Image.fromarray(written.astype(kind)))
        image = PIL.Image.fromarray(written.astype(np.uint8), "P")
        palette = np.zeros((256, 3), np.uint8)
        palette[values] = self.colors
        image.putpalette(palette.tobytes())
        return to_png(image)


@dataclass(frozen=True, repr=False)
class StepPrediction(Prediction):
    """The predicted class of every step of a series."""

    location: str
    classes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The classes in order."""
        return {"series": self.location, "steps": list(self.classes)}

    def as_text(self, top: int) -> str:
        """The classes in order."""
        return f"{self.location}  {' '.join(self.classes)}"

    def rows(self) -> list[tuple[object, ...]]:
        """One row per step."""
        return [(self.location, step, name) for step, name in enumerate(self.classes)]


class MaskOutputs(OutputKind):
    """Logits K×H×W of the classes of every pixel, or K×1×L of every step."""

    name = "segmentation"
    dense = True
    writes = MappingProxyType({"mask": "mask", "overlay": "overlay"})
    columns = ("series", "step", "class")

    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> Prediction:
        """The most probable class of every pixel, or of every step of a series."""
        best = outputs.argmax(0)
        if labels.series:
            return StepPrediction(location, tuple(labels.classes[k] for k in best[0].tolist()))
        colors = class_colors(len(labels.classes))
        for i, name in enumerate(labels.classes):
            if name in labels.colors:
                colors[i] = ImageColor.getrgb(labels.colors[name])[:3]
        return MaskPrediction(location, best, labels.classes, colors, as_picture(image), labels.values)
