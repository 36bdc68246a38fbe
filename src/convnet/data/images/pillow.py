"""Decoding by Pillow, for all formats except JPEG: modes, depths, transparency, truncated files."""

from __future__ import annotations

import io
import threading
from functools import cache

import numpy as np
from PIL import Image, ImageColor, ImageFile

from convnet.data.images.exif import ORIENTATION, orientation_of
from convnet.data.images.formats import IMAGE_FORMATS, format_of
from convnet.data.images.pixels import DecodeError, Pixels, fitting_white, scaled, to_channels

GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F"})
_BITS_PER_SAMPLE = 258


class _Lenience:
    """Guards Pillow's process-wide switch for truncated files against other threads."""

    lock = threading.Lock()
    times = 0


@cache
def _formats() -> list[str]:
    """The supported formats that this Pillow reads; others are excluded because some start programs."""
    Image.init()
    try:
        from pillow_heif import register_heif_opener  # an extra
    except ImportError:
        pass
    else:
        register_heif_opener()
    return [name for name in IMAGE_FORMATS if name in Image.OPEN]


def opened(content: bytes) -> Image.Image:
    """Open an image and read its header.

    Raises:
        DecodeError: The format needs a package that is not installed.
    """
    if format_of(content) == "HEIF" and "HEIF" not in _formats():
        raise DecodeError("unreadable", "a HEIC image; to read it, run: pip install 'convnet[heic]'")
    return Image.open(io.BytesIO(content), formats=_formats())


def loaded(content: bytes, image: Image.Image, allow_truncated: bool) -> Image.Image:
    """Load the pixels of an image; a truncated image only if allowed."""
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
    if not allow_truncated and (lenient or times != _Lenience.times):  # another thread had set the switch
        with _Lenience.lock:
            return _reloaded(content)
    return image


def _reloaded(content: bytes) -> Image.Image:
    image = opened(content)
    image.load()
    return image


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded image."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata does not make an image unreadable
        return 1
    return orientation_of(value)


def pixels_of(
    image: Image.Image,
    channels: int | None,
    background: str,
    white: int | None = None,
    *,
    adapt: bool = False,
) -> tuple[Pixels, int | None, int]:
    """Pixels H×W×C of a loaded image, scaled to 8 bits, with transparency over the background.

    Also returns the values that are white in the image and in its type. See `decode` for `white` and `adapt`.
    """
    gray = image.mode in GRAY_MODES
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values, full = np.asarray(image), 2 ** _depth(image) - 1
        white = fitting_white(values, full, white, adapt=adapt) if full == 65535 else full
        flat: Image.Image = Image.fromarray(scaled(values, white or full))
    elif image.mode in ("L", "RGB") and "transparency" not in image.info:
        values = np.asarray(image)
        white, full = fitting_white(values, 255, white, adapt=adapt), 255
        flat = image if white in (None, 255) else Image.fromarray(scaled(values, white))
    elif "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        over = Image.new("RGBA", image.size, ImageColor.getrgb(background))
        flat = Image.alpha_composite(over, image.convert("RGBA"))
        color = over.getpixel((0, 0))
        gray = gray and isinstance(color, tuple) and len(set(color[:3])) == 1
        white = full = 255
    else:
        flat, white, full = image, 255, 255
    pixels = np.array(flat.convert("L" if gray else "RGB"))
    return to_channels(np.atleast_3d(pixels), channels), white, full


def _depth(image: Image.Image) -> int:
    """The number of bits of values with more than 8.

    Raises:
        DecodeError: The range of the values is not known.
    """
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        numbers = "floats" if image.mode == "F" else "integers"
        raise DecodeError("unreadable", f"32-bit {numbers} of unknown range; save it with 8 or 16 bits")
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))  # type: ignore[attr-defined]
        return int(bits[0] if isinstance(bits, tuple) else bits)
    return 16
