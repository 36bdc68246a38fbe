"""The deterministic part of what happens to an image: channels, resize, normalisation statistics."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from convnet.data.source import Source
from convnet.errors import DataError
from convnet.schema import Section
from convnet.types import ImageShape

Normalization = Literal["channel", "pixel", "range", "none"]
ResizePolicy = Literal["stretch", "letterbox", "crop"]
MEMORY_LIMIT_BYTES = 4 << 30
MIN_STD = 1.0
"""Statistics are in pixel values 0…255; a constant channel would otherwise be divided by zero."""
CONSTANT = 1e-7
"""Deviation of a column of a table, relative to its mean, below which it is taken for constant."""


class Preprocess(Section):
    """How a picture file becomes a uint8 C×H×W array, and how pixels are normalised (M45).

    `image_size` and `channels` of None take the data as it is (folders of photos need a size: 128).
    `resize`: stretch ignores the aspect ratio, letterbox keeps it and pads with black, crop keeps it and
    cuts the centre out. `normalize`: (x − mean)/std per channel, mean and std per pixel, x/255 ("range"), or
    the numbers as they are ("none"). The columns of a table are channels.
    """

    image_size: Annotated[int, Ge(1)] | None = None
    channels: Literal[1, 3] | None = None
    resize: ResizePolicy = "crop"
    normalize: Normalization = "channel"


def fit_image(image: Image.Image, size: tuple[int, int], policy: ResizePolicy) -> Image.Image:
    """Resize to `size` (height, width) with an antialiased bilinear filter, following the policy."""
    height, width = size
    if image.size == (width, height):
        return image
    if policy == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scales = width / image.width, height / image.height
    if policy == "crop":
        # What is kept, in pixels of the picture; rounding must not push it over the edge.
        part_width = min(width / max(scales), image.width)
        part_height = min(height / max(scales), image.height)
        left, top = (image.width - part_width) / 2, (image.height - part_height) / 2
        box = (left, top, min(left + part_width, image.width), min(top + part_height, image.height))
        return image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    scale = min(scales)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resized = image.resize(inner, Image.Resampling.BILINEAR)
    fitted = Image.new(image.mode, (width, height))
    fitted.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return fitted


def require_room(name: str, count: int, shape: ImageShape) -> None:
    """Raise DataError where `count` uint8 images of `shape` are more than should lie in memory."""
    needed = count * math.prod(shape)
    if needed > MEMORY_LIMIT_BYTES:
        raise DataError(
            f"{name}: {count:,} images of {shape} need {needed / 2**30:.1f} GiB; the limit is "
            f"{MEMORY_LIMIT_BYTES >> 30} GiB; use smaller images (--set preprocess.image_size=64)"
        )


def pixel_statistics(
    source: Source, indices: Tensor, normalize: Normalization
) -> tuple[Float[Tensor, "1 C *"], Float[Tensor, "1 C *"]]:
    """Mean and standard deviation of the images at `indices`, in pixel values, for `layers.Normalize`.

    Summed in float64 over chunks, so that the whole set never becomes float at once. Shapes 1×C×1×1, or
    1×C×H×W where `normalize` is "pixel".
    """
    channels = source.shape.channels
    if normalize in ("range", "none"):
        scale = 255.0 if normalize == "range" else 1.0
        return torch.zeros(1, channels, 1, 1), torch.full((1, channels, 1, 1), scale)
    over = (0,) if normalize == "pixel" else (0, 2, 3)
    total = squares = torch.zeros((), dtype=torch.float64)
    for chunk in indices.split(2048):
        pixels = source.read(chunk).images.cpu().double()
        total = total + pixels.sum(over, keepdim=True)
        squares = squares + pixels.square().sum(over, keepdim=True)
    count = len(indices) * (1 if normalize == "pixel" else source.shape.height * source.shape.width)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    if source.is_table:  # a column that never changes says nothing
        return mean.float(), std.masked_fill(std <= CONSTANT * mean.abs(), 1 / CONSTANT).float()
    return mean.float(), std.clamp_min(MIN_STD).float()
