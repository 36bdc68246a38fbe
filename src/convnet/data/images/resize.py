"""Resize images and masks to a given size."""

from __future__ import annotations

import math
import sys
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnet.data.images.resample import Interpolation, resample
from convnet.types import IGNORED

ResizePolicy = Literal["stretch", "letterbox", "crop"]
Number = TypeVar("Number", bound=np.generic)


class Resizing(NamedTuple):
    """How images are resized to a given size.

    Attributes:
        policy: "stretch" ignores the aspect ratio; "letterbox" keeps it and pads with black; "crop" keeps it
            and crops the center.
        crop_pct: With "crop", the fraction of the shorter side that the crop covers.
        interpolation: The antialiased filter.
    """

    policy: ResizePolicy
    crop_pct: float = 1.0
    interpolation: Interpolation = "bilinear"

    def needed(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of the whole image whose crop has `size`."""
        height, width = (math.ceil(side / self.crop_pct) for side in size)
        return height, width


STRETCH = Resizing("stretch")


def resize(pixels: NDArray[np.uint8], size: tuple[int, int], how: Resizing) -> NDArray[np.uint8]:
    """Resize an image.

    Args:
        pixels: uint8 H×W×C.
        size: Height and width.
        how: Policy, crop and filter.
    """
    if pixels.shape[:2] == size and how.crop_pct == 1:
        return pixels
    if how.policy == "crop":
        return stretch(_center(pixels, size, how.crop_pct), size, how.interpolation)
    if how.policy == "stretch":
        return stretch(pixels, size, how.interpolation)
    inner, (top, left) = _boxed(pixels.shape[:2], size)
    fitted = np.zeros((*size, pixels.shape[2]), np.uint8)
    fitted[top : top + inner[0], left : left + inner[1]] = stretch(pixels, inner, how.interpolation)
    return fitted


def resize_mask(mask: NDArray[np.int16], size: tuple[int, int], how: Resizing) -> NDArray[np.int16]:
    """Resize class indices H×W by nearest neighbor; added pixels are `IGNORED`."""
    if mask.shape == size and how.crop_pct == 1:
        return mask
    if how.policy == "letterbox":
        inner, (top, left) = _boxed(mask.shape, size)
        fitted = np.full(size, IGNORED, np.int16)
        fitted[top : top + inner[0], left : left + inner[1]] = _nearest(mask, inner)
        return fitted
    return _nearest(_center(mask, size, how.crop_pct) if how.policy == "crop" else mask, size)


def stretch(
    pixels: NDArray[np.uint8], size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> NDArray[np.uint8]:
    """Resize H×W×C to (height, width) with an antialiased filter.

    Where torch is loaded it computes the same pixels as `resample` in less than half the time. Servers do not
    load it, because that takes two seconds.
    """
    if pixels.shape[:2] == size:
        return pixels
    if "torch" not in sys.modules:
        return resample(pixels, size, interpolation)
    import torch

    images = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
    resized: NDArray[np.uint8] = (
        torch.nn.functional.interpolate(images, size=size, mode=interpolation, antialias=True)[0]
        .permute(1, 2, 0)
        .numpy()
    )
    return resized


def _nearest(mask: NDArray[np.int16], size: tuple[int, int]) -> NDArray[np.int16]:
    image = Image.fromarray(mask.astype(np.int32)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image).astype(np.int16)


def _center(pixels: NDArray[Number], size: tuple[int, int], crop_pct: float = 1.0) -> NDArray[Number]:
    """The largest center crop with the aspect ratio of `size`, or that fraction of its sides."""
    height, width = pixels.shape[:2]
    scale = max(size[0] / height, size[1] / width) / crop_pct
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
