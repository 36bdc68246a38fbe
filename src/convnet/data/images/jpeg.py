"""JPEG decoding by libjpeg-turbo through simplejpeg."""

from __future__ import annotations

import simplejpeg

from convnet.data.images.exif import apply_orientation, jpeg_orientation
from convnet.data.images.formats import lacks_end
from convnet.data.images.pixels import MAX_PIXELS, DecodeError, Picture, Pixels, to_channels

SPARE = 3
"""A JPEG is decoded at ½, ¼ or ⅛ of its size if that is still this many times what is needed."""
FACTORS = (8, 4, 2)
"""The reductions that libjpeg-turbo has fast code for."""
PROFILE_WITHIN = 1 << 16
"""The number of first bytes that are searched for a color profile."""
_DAMAGE = ("premature end of data segment", "bad huffman code", "corrupt jpeg data: bad")


def decode_jpeg(content: bytes, channels: int | None, at_least: tuple[int, int] | None) -> Picture | None:
    """Decode a valid gray or color JPEG; None for anything else, which is left to Pillow."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    if space not in ("Gray", "YCbCr", "RGB") or height * width > MAX_PIXELS:
        return None
    gray = channels == 1 or (channels is None and space == "Gray")
    orientation = jpeg_orientation(content)
    rows, columns = at_least or (height, width)
    if orientation >= 5:
        rows, columns = columns, rows
    room = min(height / rows, width / columns) / SPARE
    factor = next((factor for factor in FACTORS if factor <= room), 1)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            content,
            "GRAY" if gray else "RGB",
            min_height=-(-height // factor),
            min_width=-(-width // factor),
            min_factor=factor,
        )
    except ValueError as error:
        if any(damage in str(error).lower() for damage in _DAMAGE) and not lacks_end(content):
            raise DecodeError("unreadable", f"damaged data: {error}") from error
        return None
    if channels not in (None, 1, 3):
        pixels = to_channels(pixels, channels)
    profile = b"ICC_PROFILE" in content[:PROFILE_WITHIN]
    mode = "L" if space == "Gray" else "RGB"
    return Picture(apply_orientation(pixels, orientation), (width, height), mode, orientation, profile)
