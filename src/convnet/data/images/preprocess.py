"""The deterministic part of what happens to an image: channels, resize, normalisation statistics."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from PIL import ImageColor
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from convnet.data.images.resize import ResizePolicy
from convnet.errors import DataError
from convnet.registry import Count, Section
from convnet.types import ImageShape

Normalization = Literal["channel", "pixel", "imagenet", "symmetric", "range", "none"]
MEMORY_LIMIT_BYTES = 4 << 30


def _require_colour(text: str) -> str:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        raise PydanticCustomError("colour", "must be a colour, by name or as #rrggbb") from None
    return text


class Preprocess(Section):
    """How a picture file becomes a uint8 C×H×W array, and how pixels are normalised (M45).

    `image_size` and `channels` of None take the data as it is (folders of photos need a size: 128).
    Grey becomes any number of channels, colours become grey. `resize`: stretch ignores the aspect ratio,
    letterbox keeps it and pads with black, crop keeps it and cuts the centre out. What is transparent shows
    the `background`, a colour by name or as #rrggbb. With `allow_truncated`, files whose end is missing are
    taken as far as they go. `normalize`: (x − mean)/std per channel, mean and std per pixel, those of
    ImageNet's photos (for weights that were trained on them), x/127.5 − 1 ("symmetric"), x/255 ("range"),
    or the numbers as they are ("none"). The columns of a table are channels.
    """

    image_size: Count | None = None
    channels: Count | None = None
    resize: ResizePolicy = "crop"
    background: Annotated[str, AfterValidator(_require_colour)] = "white"
    allow_truncated: bool = False
    normalize: Normalization = "channel"


def require_room(name: str, count: int, shape: ImageShape) -> None:
    """Raise DataError where `count` uint8 images of `shape` are more than should lie in memory."""
    needed = count * math.prod(shape)
    if needed > MEMORY_LIMIT_BYTES:
        raise DataError(
            f"{name}: {count:,} images of {shape} need {needed / 2**30:.1f} GiB; the limit is "
            f"{MEMORY_LIMIT_BYTES >> 30} GiB; use smaller images (--set preprocess.image_size=64)"
        )
