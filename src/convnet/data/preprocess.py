"""The deterministic part of what happens to an image: channels, resize, normalisation statistics."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convnet.data.source import Source
from convnet.errors import DataError
from convnet.schema import Section
from convnet.types import IGNORED, ImageShape

Normalization = Literal["channel", "pixel", "imagenet", "symmetric", "range", "none"]
ResizePolicy = Literal["stretch", "letterbox", "crop"]
MEMORY_LIMIT_BYTES = 4 << 30
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the pixels 0…255 of ImageNet's photos, as the public weights expect them."""
MIN_STD = 1.0
"""Statistics are in pixel values 0…255; a constant channel would otherwise be divided by zero."""
CONSTANT = 1e-7
"""Deviation of a column of a table, relative to its mean, below which it is taken for constant."""


class Preprocess(Section):
    """How a picture file becomes a uint8 C×H×W array, and how pixels are normalised (M45).

    `image_size` and `channels` of None take the data as it is (folders of photos need a size: 128).
    `resize`: stretch ignores the aspect ratio, letterbox keeps it and pads with black, crop keeps it and
    cuts the centre out. `normalize`: (x − mean)/std per channel, mean and std per pixel, those of
    ImageNet's photos (for weights that were trained on them), x/127.5 − 1 ("symmetric"), x/255 ("range"),
    or the numbers as they are ("none"). The columns of a table are channels.
    """

    image_size: Annotated[int, Ge(1)] | None = None
    channels: Literal[1, 3] | None = None
    resize: ResizePolicy = "crop"
    normalize: Normalization = "channel"


def fit_mask(mask: NDArray[np.int16], size: tuple[int, int], policy: ResizePolicy) -> NDArray[np.int16]:
    """Resize H×W class indices as `fit_image` does an image, to the nearest; what is added is void."""
    shifted = Image.fromarray(mask.astype(np.int32) - IGNORED)  # so that the border, 0, is what is ignored
    fitted = fit_image(shifted, size, policy, Image.Resampling.NEAREST)
    return (np.asarray(fitted) + IGNORED).astype(np.int16)


def fit_image(
    image: Image.Image,
    size: tuple[int, int],
    policy: ResizePolicy,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Resize to `size` (height, width) with an antialiased bilinear filter, following the policy."""
    height, width = size
    if image.size == (width, height):
        return image
    if policy == "stretch":
        return image.resize((width, height), resample)
    scales = width / image.width, height / image.height
    if policy == "crop":
        # What is kept, in pixels of the picture; rounding must not push it over the edge.
        part_width = min(width / max(scales), image.width)
        part_height = min(height / max(scales), image.height)
        left, top = (image.width - part_width) / 2, (image.height - part_height) / 2
        box = (left, top, min(left + part_width, image.width), min(top + part_height, image.height))
        return image.resize((width, height), resample, box=box)
    scale = min(scales)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resized = image.resize(inner, resample)
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
    if normalize == "imagenet":
        if channels != 3:
            raise DataError(
                f"{source.name}: preprocess.normalize=imagenet is for colours, not {source.shape}"
            )
        return torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    if normalize in ("range", "symmetric", "none"):
        shift, scale = {"range": (0.0, 255.0), "symmetric": (127.5, 127.5), "none": (0.0, 1.0)}[normalize]
        return torch.full((1, channels, 1, 1), shift), torch.full((1, channels, 1, 1), scale)
    over = (0,) if normalize == "pixel" else (0, 2, 3)
    if normalize == "pixel" and source.sizes is not None:
        raise DataError(
            f"{source.name}: images of different sizes have no mean per pixel; use "
            "preprocess.normalize=channel, or one size for all (--set preprocess.image_size=128)"
        )
    count = total = squares = torch.zeros((), dtype=torch.float64)
    for chunk in indices.split(2048 if source.sizes is None else 1):
        pixels = source.read(chunk).images.cpu().double()
        if source.sizes is not None:
            height, width = source.sizes[chunk[0]].tolist()
            pixels = pixels[..., :height, :width]
        count = count + (~pixels.isnan()).sum(over, keepdim=True)  # NaN: behind the end of a series
        total = total + pixels.nansum(over, keepdim=True)
        squares = squares + pixels.square().nansum(over, keepdim=True)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    if source.form != "images":  # a column that never changes says nothing
        return mean.float(), std.masked_fill(std <= CONSTANT * mean.abs(), 1 / CONSTANT).float()
    return mean.float(), std.clamp_min(MIN_STD).float()
