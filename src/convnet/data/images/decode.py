"""Decoding: one function, used for training, evaluation, prediction and the audit.

JPEG by libjpeg-turbo through simplejpeg, everything else by Pillow. On a JPEG the two differ by at most
`AGREEMENT_DB`. Colour profiles (ICC) are ignored.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFile, UnidentifiedImageError

from convnet.data.images.formats import format_of, lacks_end
from convnet.data.images.turn import ORIENTATION, jpeg_orientation, orientation_of, turn_upright
from convnet.errors import DataError

Pixels = NDArray[np.uint8]
"""H×W×C, 0…255."""
Trouble = Literal["unreadable", "truncated", "not_an_image"]

MAX_PIXELS = 178_956_970
"""Larger pictures are taken for decompression bombs; Pillow's own limit for refusing them."""
AGREEMENT_DB = 50.0
"""Least PSNR between a whole JPEG as simplejpeg decodes it and as Pillow does."""
SPARE = 3
"""A JPEG is decoded at ½, ¼ or ⅛ of its size where that is still so many times what is needed."""
FACTORS = (8, 4, 2)
"""The reductions that libjpeg-turbo has fast code for."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F"})
PROFILE_WITHIN = 1 << 16
"""Bytes of a JPEG in which a colour profile is looked for."""
_BITS_PER_SAMPLE = 258
_DAMAGE = ("premature end of data segment", "bad huffman code", "corrupt jpeg data: bad")


class DecodeError(DataError):
    """Content that is no picture, or a damaged one; `kind` says which."""

    def __init__(self, kind: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.kind: Trouble = kind
        self.reason = reason


@dataclass(frozen=True)
class Picture:
    """Decoded pixels, upright, and what the file said of itself: its size is that before it was turned."""

    pixels: Pixels
    size: tuple[int, int]
    mode: str
    orientation: int
    profile: bool


def decode(
    content: bytes,
    *,
    channels: int | None = None,
    background: str = "white",
    allow_truncated: bool = False,
    at_least: tuple[int, int] | None = None,
) -> Picture:
    """Pixels of an image file: turned upright (EXIF), the first frame of an animation.

    `channels` 1 or 3 converts to grey or colours; None keeps what the picture has. Transparency is laid over
    `background`. Numbers of more than 8 bits are scaled by their depth. `at_least` (height, width) allows a
    JPEG to be decoded at ½, ¼ or ⅛ of its size where both sides remain at least `SPARE` times that.

    Raises:
        DecodeError: no image, a damaged one, a truncated one (unless allowed), a decompression bomb.
    """
    if not content:
        raise DecodeError("not_an_image", "the file is empty")
    try:
        if content.startswith(b"\x93NUMPY"):
            return _array(content, channels)
        if content.startswith(b"\xff\xd8") and (found := _jpeg(content, channels, at_least)) is not None:
            return found
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DecodeError(
                    "unreadable", f"{image.width}×{image.height} pixels; the limit is {MAX_PIXELS:,}"
                )
            size, mode, profile = image.size, image.mode, "icc_profile" in image.info
            loaded = _loaded(content, image, allow_truncated)
            orientation = _orientation(loaded)  # of a PNG behind the pixels, whose errors it would hide
            pixels = _by_pillow(loaded, channels, background)
            return Picture(turn_upright(pixels, orientation), size, mode, orientation, profile)
    except DecodeError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise _trouble(content, error) from error


def read_picture(
    path: Path, channels: int | None = None, *, background: str = "white", allow_truncated: bool = False
) -> Pixels:
    """The pixels of a file, C×H×W uint8 at its own size; by default as many channels as it has.

    Raises:
        DataError: it is missing, no image, truncated, or a decompression bomb; names the file.
    """
    picture = decode_file(path, channels=channels, background=background, allow_truncated=allow_truncated)
    return picture.pixels.transpose(2, 0, 1)


def decode_file(
    path: Path,
    *,
    channels: int | None = None,
    background: str = "white",
    allow_truncated: bool = False,
    at_least: tuple[int, int] | None = None,
) -> Picture:
    """`decode` of a file; its errors name it."""
    try:
        return decode(
            file_bytes(path),
            channels=channels,
            background=background,
            allow_truncated=allow_truncated,
            at_least=at_least,
        )
    except DecodeError as error:
        raise DataError(f"{path}: not a readable image: {error.reason}") from error


def file_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
        DataError: it is missing, or may not be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def to_channels(pixels: Pixels, channels: int | None) -> Pixels:
    """Grey made of colours (ITU-R 601 luma), colours made of grey; otherwise as it is.

    Raises:
        DecodeError: there is no such conversion.
    """
    found = pixels.shape[2]
    if channels is None or found == channels:
        return pixels
    if found == 3 and channels == 1:
        red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
        grey: Pixels = ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)
        return grey[:, :, None]
    if found == 1:
        return np.repeat(pixels, channels, 2)
    raise DecodeError("unreadable", f"has {found} channels, which do not become {channels}")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata does not make a picture unreadable
        return 1
    return orientation_of(value)


def _jpeg(content: bytes, channels: int | None, at_least: tuple[int, int] | None) -> Picture | None:
    """A sound grey or colour JPEG; None of all else, which is for Pillow to judge."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    if space not in ("Gray", "YCbCr", "RGB") or height * width > MAX_PIXELS:
        return None
    grey = channels == 1 or (channels is None and space == "Gray")
    orientation = jpeg_orientation(content)
    rows, columns = at_least or (height, width)
    if orientation >= 5:
        rows, columns = columns, rows
    room = min(height / rows, width / columns) / SPARE
    factor = next((factor for factor in FACTORS if factor <= room), 1)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            content,
            "GRAY" if grey else "RGB",
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
    return Picture(turn_upright(pixels, orientation), (width, height), mode, orientation, profile)


def _by_pillow(image: Image.Image, channels: int | None, background: str) -> Pixels:
    grey = image.mode in GREY_MODES
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        flat: Image.Image = Image.fromarray(_scaled(np.asarray(image), _depth(image)))
    elif "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        over = Image.new("RGBA", image.size, ImageColor.getrgb(background))
        flat = Image.alpha_composite(over, image.convert("RGBA"))
        colour = over.getpixel((0, 0))
        grey = grey and isinstance(colour, tuple) and len(set(colour[:3])) == 1
    else:
        flat = image
    pixels = np.array(flat.convert("L" if grey else "RGB"))
    return to_channels(np.atleast_3d(pixels), channels)


class _Lenience:
    """When truncated files pass: Pillow has one switch for the whole process, and there are threads."""

    lock = threading.Lock()
    times = 0


def _loaded(content: bytes, image: Image.Image, allow_truncated: bool) -> Image.Image:
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
                ImageFile.LOAD_TRUNCATED_IMAGES = False
    if not allow_truncated and (lenient or times != _Lenience.times):  # another thread let it pass
        with _Lenience.lock:
            return _reloaded(content)
    return image


def _reloaded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


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


def _scaled(values: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    """0…2ᵇ − 1 → 0…255, rounded."""
    scaled = values.astype(np.float32) * np.float32(255 / (2**bits - 1))
    return scaled.round().clip(0, 255).astype(np.uint8)


def _array(content: bytes, channels: int | None) -> Picture:
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
        pixels = _scaled(array, 16)
    elif array.dtype.kind == "f" and np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1:
        pixels = (array * 255).round().astype(np.uint8)
    else:
        raise DecodeError(
            "unreadable",
            f"an array of {array.dtype}; expected uint8, uint16, bool, or fractions from 0 to 1",
        )
    pixels = np.atleast_3d(pixels)
    return Picture(to_channels(pixels, channels), (pixels.shape[1], pixels.shape[0]), "array", 1, False)


def _trouble(content: bytes, error: Exception) -> DecodeError:
    """What a decoder's complaint means."""
    text = " ".join(str(error).split()) or type(error).__name__
    known = format_of(content)
    if isinstance(error, Image.DecompressionBombError):
        return DecodeError("unreadable", text)
    if "truncated" in text.lower() or lacks_end(content):
        return DecodeError("truncated", "the file is truncated: its end is missing")
    if isinstance(error, UnidentifiedImageError):
        if known is None:
            return DecodeError("not_an_image", "it is in no known image format")
        return DecodeError("unreadable", f"{known} that cannot be read")
    return DecodeError("unreadable", f"{known + ': ' if known else ''}{text}")
