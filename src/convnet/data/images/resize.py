"""Resize images and masks to a given size."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from convnet.types import IGNORED

ResizePolicy = Literal["stretch", "letterbox", "crop"]
Number = TypeVar("Number", bound=np.generic)


def resize(pixels: NDArray[np.uint8], size: tuple[int, int], policy: ResizePolicy) -> NDArray[np.uint8]:
    """Resize with an antialiased bilinear filter.

    Args:
        pixels: uint8 H×W×C.
        size: Height and width.
        policy: "stretch" ignores the aspect ratio; "letterbox" keeps it and pads with black; "crop" keeps it
            and crops the center.
    """
    if pixels.shape[:2] == size:
        return pixels
    if policy == "crop":
        return stretch(_center(pixels, size), size)
    if policy == "stretch":
        return stretch(pixels, size)
    inner, (top, left) = _boxed(pixels.shape[:2], size)
    fitted = np.zeros((*size, pixels.shape[2]), np.uint8)
    fitted[top : top + inner[0], left : left + inner[1]] = stretch(pixels, inner)
    return fitted


def resize_mask(mask: NDArray[np.int16], size: tuple[int, int], policy: ResizePolicy) -> NDArray[np.int16]:
    """Resize class indices H×W by nearest neighbor; added pixels are `IGNORED`."""
    if mask.shape == size:
        return mask
    if policy == "letterbox":
        inner, (top, left) = _boxed(mask.shape, size)
        fitted = np.full(size, IGNORED, np.int16)
        fitted[top : top + inner[0], left : left + inner[1]] = _nearest(mask, inner)
        return fitted
    return _nearest(_center(mask, size) if policy == "crop" else mask, size)


def stretch(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize H×W×C to (height, width) with torch's antialiased bilinear filter, which rounds like Pillow."""
    if pixels.shape[:2] == size:
        return pixels
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    resized: NDArray[np.uint8] = (
        F.interpolate(images, size=size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    )
    return resized


def _nearest(mask: NDArray[np.int16], size: tuple[int, int]) -> NDArray[np.int16]:
    image = Image.fromarray(mask.astype(np.int32)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image).astype(np.int16)


def _center(pixels: NDArray[Number], size: tuple[int, int]) -> NDArray[Number]:
    """The largest center crop with the aspect ratio of `size`."""
    height, width = pixels.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    rows, columns = (
        min(own, max(1, round(to / scale))) for own, to in zip((height, width), size, strict=True)
    )
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def _boxed(own: tuple[int, ...], size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size of an image within a letterbox, and its top left corner."""
    scale = min(size[0] / own[0], size[1] / own[1])
    inner = min(size[0], max(1, round(own[0] * scale))), min(size[1], max(1, round(own[1] * scale)))
    return inner, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
