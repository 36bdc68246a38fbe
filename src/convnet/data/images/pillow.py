"""All formats but JPEG by Pillow: modes, depths, transparency, truncated files."""

from __future__ import annotations

import io
import threading
from functools import cache

import numpy as np
from PIL import Image, ImageColor, ImageFile

from convnet.data.images.exif import ORIENTATION, orientation_of
from convnet.data.images.formats import FORMATS
from convnet.data.images.pixels import DecodeError, Pixels, scaled, to_channels

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F"})
_BITS_PER_SAMPLE = 258


class _Lenience:
    """When truncated files pass: Pillow has one switch for the whole process, and there are threads."""

    lock = threading.Lock()
    times = 0


@cache
def _formats() -> list[str]:
    """Those of our formats that this Pillow reads; no others, of which some start programs."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def opened(content: bytes) -> Image.Image:
    """The header of an image."""
    return Image.open(io.BytesIO(content), formats=_formats())


def loaded(content: bytes, image: Image.Image, allow_truncated: bool) -> Image.Image:
    """The image with its pixels; one whose end is missing only where that is allowed."""
    times, lenient = _Lenience.times, ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        image.load()
    except OSError:
        if not allow_truncated:
            raise
        with _Lenience.lock:
            _Lenience.times += 1
            ImageFile.LOAD_TRUNCATED_IMAGES = True
            try:
                return _reloaded(content)
            finally:
                _Lenience.times += 1
                ImageFile.LOAD_TRUNCATED_IMAGES = False
    lenient = lenient or ImageFile.LOAD_TRUNCATED_IMAGES
    if not allow_truncated and (lenient or times != _Lenience.times):  # another thread let it pass
        with _Lenience.lock:
            return _reloaded(content)
    return image


def _reloaded(content: bytes) -> Image.Image:
    image = opened(content)
    image.load()
    return image


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image whose pixels are loaded."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata does not make a picture unreadable
        return 1
    return orientation_of(value)


def pixels_of(image: Image.Image, channels: int | None, background: str) -> Pixels:
    """H×W×C of a loaded image: numbers scaled by their depth, transparency over the background."""
    grey = image.mode in GREY_MODES
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        flat: Image.Image = Image.fromarray(scaled(np.asarray(image), _depth(image)))
    elif "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        over = Image.new("RGBA", image.size, ImageColor.getrgb(background))
        flat = Image.alpha_composite(over, image.convert("RGBA"))
        colour = over.getpixel((0, 0))
        grey = grey and isinstance(colour, tuple) and len(set(colour[:3])) == 1
    else:
        flat = image
    pixels = np.array(flat.convert("L" if grey else "RGB"))
    return to_channels(np.atleast_3d(pixels), channels)


def _depth(image: Image.Image) -> int:
    """The bits of a number of more than eight.

    Raises:
        DecodeError: its range is not known.
    """
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        numbers = "fractions" if image.mode == "F" else "whole numbers"
        raise DecodeError(
            "unreadable", f"32-bit {numbers}, whose range is not known; save it with 8 or 16 bits"
        )
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))  # type: ignore[attr-defined]
        return int(bits[0] if isinstance(bits, tuple) else bits)
    return 16
