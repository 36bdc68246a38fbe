"""The deterministic part of what happens to an image: channels, resize, normalisation statistics."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from PIL import ImageColor
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from torch import Tensor

from convnet.data.datasets.dataset import Dataset
from convnet.data.images.resize import ResizePolicy
from convnet.errors import DataError
from convnet.registry import Count, Section
from convnet.types import ImageShape

Normalization = Literal["channel", "pixel", "imagenet", "symmetric", "range", "none"]
MEMORY_LIMIT_BYTES = 4 << 30
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the pixels 0…255 of ImageNet's photos, as the public weights expect them."""
SAMPLED = 2048
"""Images that statistics are taken of, where they have to be decoded first."""
CHUNK, CHUNK_OF_FILES = 2048, 64
MIN_STD = 1.0
"""Statistics are in pixel values 0…255; a constant channel would otherwise be divided by zero."""
CONSTANT = 1e-7
"""Deviation of a column of a table, relative to its mean, below which it is taken for constant."""


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


def pixel_statistics(
    dataset: Dataset, indices: Tensor, normalize: Normalization
) -> tuple[Float[Tensor, "1 C *"], Float[Tensor, "1 C *"]]:
    """Mean and standard deviation of the images at `indices`, in pixel values, for `layers.Normalize`.

    Summed in float64 over chunks, so that the whole set never becomes float at once; of files a seeded
    sample of `SAMPLED` images has to do. Shapes 1×C×1×1, or
    1×C×H×W where `normalize` is "pixel".
    """
    channels = dataset.shape.channels
    if normalize == "imagenet":
        if channels != 3:
            raise DataError(
                f"{dataset.name}: preprocess.normalize=imagenet is for colours, not {dataset.shape}"
            )
        return torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    if normalize in ("range", "symmetric", "none"):
        shift, scale = {"range": (0.0, 255.0), "symmetric": (127.5, 127.5), "none": (0.0, 1.0)}[normalize]
        return torch.full((1, channels, 1, 1), shift), torch.full((1, channels, 1, 1), scale)
    over = (0,) if normalize == "pixel" else (0, 2, 3)
    if normalize == "pixel" and dataset.sizes is not None:
        raise DataError(
            f"{dataset.name}: images of different sizes have no mean per pixel; use "
            "preprocess.normalize=channel, or one size for all (--set preprocess.image_size=128)"
        )
    if not dataset.in_memory and len(indices) > SAMPLED:
        order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))
        indices = indices[order[:SAMPLED].sort().values]
    count = total = squares = torch.zeros((), dtype=torch.float64)
    at_once = CHUNK if dataset.in_memory else CHUNK_OF_FILES
    for chunk in indices.split(at_once if dataset.sizes is None else 1):
        images = dataset.read(chunk).images.cpu()
        if images.dtype == torch.uint8 and dataset.sizes is None:
            values = images.float()
            count = count + values.numel() // (values[0].numel() if len(over) == 1 else channels)
            total = total + values.sum(over, keepdim=True, dtype=torch.float64)
            squares = squares + values.square_().sum(over, keepdim=True, dtype=torch.float64)
            continue
        pixels = images.double()
        if dataset.sizes is not None:
            height, width = dataset.sizes[chunk[0]].tolist()
            pixels = pixels[..., :height, :width]
        count = count + (~pixels.isnan()).sum(over, keepdim=True)  # NaN: behind the end of a series
        total = total + pixels.nansum(over, keepdim=True)
        squares = squares + pixels.square().nansum(over, keepdim=True)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    if dataset.modality != "images":  # a column that never changes says nothing
        return mean.float(), std.masked_fill(std <= CONSTANT * mean.abs(), 1 / CONSTANT).float()
    return mean.float(), std.clamp_min(MIN_STD).float()
