"""`Picture` and `DecodeError`, the results of decoding, and conversions of pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convnet.errors import DataError

Pixels = NDArray[np.uint8]
"""uint8 H×W×C."""
Trouble = Literal["unreadable", "truncated", "not_an_image"]

MAX_PIXELS = 178_956_970
"""Pillow's limit; larger images are refused as decompression bombs."""

LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601."""


class DecodeError(DataError):
    """The content is not an image or is damaged; `kind` tells which."""

    def __init__(self, kind: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.kind: Trouble = kind
        self.reason = reason


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: Upright, uint8 H×W×C.
        size: Width and height in the file, before turning.
        mode: Pillow's mode.
        orientation: The EXIF orientation, 1…8.
        profile: Whether the file has a color profile.
    """

    pixels: Pixels
    size: tuple[int, int]
    mode: str
    orientation: int
    profile: bool


def converts(found: int, channels: int) -> bool:
    """Whether an image with `found` channels can be converted to `channels`."""
    return found in (channels, 1) or (found == 3 and channels == 1)


def to_channels(pixels: Pixels, channels: int | None) -> Pixels:
    """Convert color to gray (ITU-R 601 luma) or gray to color.

    Args:
        pixels: H×W×C.
        channels: The wanted channels; None keeps them.

    Raises:
        DecodeError: There is no such conversion.
    """
    found = pixels.shape[2]
    if channels is None or found == channels:
        return pixels
    if not converts(found, channels):
        raise DecodeError("unreadable", f"has {found} channels, which cannot be converted to {channels}")
    if found == 3:
        red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
        gray: Pixels = ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)
        return gray[:, :, None]
    return np.repeat(pixels, channels, 2)


def scaled(values: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    """Scale 0…2ᵇ − 1 to 0…255, rounded."""
    scaled = values.astype(np.float32) * np.float32(255 / (2**bits - 1))
    return scaled.round().clip(0, 255).astype(np.uint8)


def decode_array(content: bytes, channels: int | None) -> Picture:
    """Decode a .npy array H×W or H×W×C of uint8, uint16, bool or floats 0…1."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DecodeError("unreadable", f"an array of shape {array.shape}; expected H×W or H×W×C")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise DecodeError("unreadable", f"an array of {array.shape}; the limit is {MAX_PIXELS:,} pixels")
    if array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.uint16:
        pixels = scaled(array, 16)
    elif array.dtype.kind == "f" and np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1:
        pixels = (array * 255).round().astype(np.uint8)
    else:
        raise DecodeError(
            "unreadable",
            f"an array of {array.dtype}; expected uint8, uint16, bool or floats from 0 to 1",
        )
    pixels = np.atleast_3d(pixels)
    return Picture(to_channels(pixels, channels), (pixels.shape[1], pixels.shape[0]), "array", 1, False)
