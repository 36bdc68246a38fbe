"""Images as NumPy arrays in `.npy` files."""

from __future__ import annotations

import io

import numpy as np

from convnet.data.images.picture import MAX_PIXELS, DecodeError, Picture, scaled, to_channels


def decode_array(content: bytes, channels: int | None) -> Picture:
    """An array H×W or H×W×C: bytes, 16-bit numbers, true and false, or fractions 0…1."""
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
            f"an array of {array.dtype}; expected uint8, uint16, bool, or fractions from 0 to 1",
        )
    pixels = np.atleast_3d(pixels)
    return Picture(to_channels(pixels, channels), (pixels.shape[1], pixels.shape[0]), "array", 1, False)
