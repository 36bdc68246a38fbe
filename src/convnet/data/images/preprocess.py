"""`Preprocess`: the deterministic preparation of images (channels, resizing, normalization)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from PIL import ImageColor
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from convnet.data.images.resample import Interpolation
from convnet.data.images.resize import ResizePolicy, Resizing
from convnet.errors import DataError, RecipeError
from convnet.registry import Count, Section
from convnet.types import ImageShape

Normalization = Literal["channel", "pixel", "imagenet", "efficientnet-lite", "symmetric", "range", "none"]
MEMORY_LIMIT_BYTES = 4 << 30


def _require_color(text: str) -> str:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        raise PydanticCustomError("color", "must be a color, by name or as #rrggbb") from None
    return text


class Preprocess(Section):
    """How image files become uint8 arrays C×H×W, and how pixels are normalized.

    Attributes:
        image_size: The side of square images. Default: the size of the data (128 for folders of photos).
        channels: Default: the channels of the data.
        resize: "stretch" ignores the aspect ratio, "letterbox" keeps it and pads with black, "crop" keeps it
            and crops the center.
        crop_pct: With "crop", the fraction of the shorter side that the crop covers.
        interpolation: The filter of resizing, "bilinear" or "bicubic".
        background: The color behind transparent pixels, by name or as #rrggbb.
        white: The stored value that is white, for images that use less than the depth of their files.
            Default: found from the data.
        allow_truncated: Whether truncated files are decoded as far as possible.
        normalize: (x − mean)/std per "channel" (of a table: per column) or per "pixel", with the statistics
            of "imagenet", (x − 127)/128 ("efficientnet-lite"), x/127.5 − 1 ("symmetric"), x/255 ("range"), or
            "none".
    """

    image_size: Count | None = None
    channels: Count | None = None
    resize: ResizePolicy = "crop"
    crop_pct: Annotated[float, Gt(0), Le(1)] = 1.0
    interpolation: Interpolation = "bilinear"
    background: Annotated[str, AfterValidator(_require_color)] = "white"
    white: Annotated[int, Ge(1), Le(65535)] | None = None
    allow_truncated: bool = False
    normalize: Normalization = "channel"

    @model_validator(mode="after")
    def _applicable(self) -> Preprocess:
        if self.crop_pct < 1 and self.resize != "crop":
            raise RecipeError(
                f"preprocess.crop_pct={self.crop_pct:g} does not apply: preprocess.resize is {self.resize}; "
                "add --set preprocess.crop_pct=1"
            )
        return self

    @property
    def resizing(self) -> Resizing:
        """How images are resized."""
        return Resizing(self.resize, self.crop_pct, self.interpolation)


def require_room(name: str, count: int, shape: ImageShape) -> None:
    """Check that `count` uint8 images of `shape` fit into memory.

    Raises:
        DataError: They exceed the limit.
    """
    needed = count * math.prod(shape)
    if needed > MEMORY_LIMIT_BYTES:
        raise DataError(
            f"{name}: {count:,} images of {shape} need {needed / 2**30:.1f} GiB; the limit is "
            f"{MEMORY_LIMIT_BYTES >> 30} GiB; use smaller images (--set preprocess.image_size=64)"
        )
