"""`Picture` and `DecodeError`, the results of decoding, and conversions of pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.errors import DataError
from convnet.types import checksum

Pixels = NDArray[np.uint8]
"""uint8 H×W×C."""
Trouble = Literal["unreadable", "truncated", "not_an_image"]

MAX_PIXELS = 178_956_970
"""Pillow's limit; larger images are refused as decompression bombs."""

DARKEST_FULL = {255: 15, 65535: 32767}
"""The largest value of an image up to which its depth may be less than that of its type."""

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
        white: The value in the file that became 255; None if it is not known, as in an image of zeros.
        full: The largest value of the type of the pixels in the file, 255 or 65,535.
    """

    pixels: Pixels
    size: tuple[int, int]
    mode: str
    orientation: int
    profile: bool
    white: int | None = 255
    full: int = 255


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


def scaled(values: NDArray[np.generic], white: int) -> NDArray[np.uint8]:
    """Scale 0…white to 0…255, rounded."""
    scaled = values.astype(np.float32) * np.float32(255 / white)
    return scaled.round().clip(0, 255).astype(np.uint8)


def own_white(values: NDArray[np.generic], full: int) -> int | None:
    """The largest value of the depth that an image uses: 4,095 for 12 bits in 16, 1 for zeros and ones.

    Images of 8 bits are taken for images of fewer bits only if they would be black. None for zeros only.

    Args:
        values: The stored values.
        full: The largest value of their type, 255 or 65,535.
    """
    top = int(values.max(initial=0))
    if not top:
        return None
    if top > DARKEST_FULL[full]:
        return full
    return int(2 ** int(top).bit_length() - 1)


def fitting_white(values: NDArray[np.generic], full: int, white: int | None, *, adapt: bool) -> int | None:
    """The value that is white: the one asked for if it fits the values, else that of the type or image."""
    if white is not None and values.max(initial=0) <= white <= full:
        return white
    return own_white(values, full) if adapt else full


def pixels_checksum(pixels: NDArray[Any]) -> int:
    """A number that changes with the pixels H×W×C of an image."""
    return checksum(str(pixels.shape).encode() + pixels.tobytes())


def common_white(whites: NDArray[np.integer], full: int) -> int | None:
    """The value that is white in all of some images; None if any of them uses its full depth.

    Args:
        whites: `own_white` of each; 0 where it is not known.
        full: The largest value of their type.
    """
    known = whites[whites > 0]
    top = int(known.max(initial=0))
    return top if 0 < top < full else None


def decode_array(
    content: bytes, channels: int | None, white: int | None = None, *, adapt: bool = False
) -> Picture:
    """Decode a .npy array H×W or H×W×C of uint8, uint16, bool or floats 0…1; see `decode`."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DecodeError("unreadable", f"an array of shape {array.shape}; expected H×W or H×W×C")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise DecodeError("unreadable", f"an array of {array.shape}; the limit is {MAX_PIXELS:,} pixels")
    if array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype in (np.uint8, np.uint16):
        full = int(np.iinfo(array.dtype).max)
        white = fitting_white(array, full, white, adapt=adapt)
        pixels = array if (white or full) == 255 == full else scaled(array, white or full)
        shown = np.atleast_3d(pixels.astype(np.uint8, copy=False))
        size = (shown.shape[1], shown.shape[0])
        return Picture(to_channels(shown, channels), size, "array", 1, False, white, full)
    elif array.dtype.kind == "f" and np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1:
        pixels = (array * 255).round().astype(np.uint8)
    else:
        raise DecodeError(
            "unreadable",
            f"an array of {array.dtype}; expected uint8, uint16, bool or floats from 0 to 1",
        )
    pixels = np.atleast_3d(pixels)
    return Picture(to_channels(pixels, channels), (pixels.shape[1], pixels.shape[0]), "array", 1, False)
