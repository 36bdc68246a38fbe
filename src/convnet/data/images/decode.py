"""Decode image files: one function for training, evaluation, prediction and the audit.

JPEG is decoded by libjpeg-turbo through simplejpeg, everything else by Pillow. On a JPEG the two agree to
`AGREEMENT_DB` or better. Color profiles (ICC) are ignored.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from convnet.data.images.exif import apply_orientation
from convnet.data.images.formats import format_of, lacks_end
from convnet.data.images.jpeg import decode_jpeg
from convnet.data.images.pillow import loaded, opened, orientation, pixels_of
from convnet.data.images.pixels import MAX_PIXELS, DecodeError, Picture, Pixels, decode_array
from convnet.errors import DataError

LARGEST_FILE = 500_000_000
"""The largest file that is read as a whole, in bytes."""
AGREEMENT_DB = 50.0
"""The smallest PSNR between a JPEG decoded by simplejpeg and by Pillow."""


def decode(
    content: bytes,
    *,
    channels: int | None = None,
    background: str = "white",
    allow_truncated: bool = False,
    at_least: tuple[int, int] | None = None,
    white: int | None = None,
    adapt: bool = False,
) -> Picture:
    """Decode the content of an image file: upright according to EXIF, the first frame of an animation.

    Values of more than 8 bits are scaled by their depth.

    Args:
        content: The bytes of the file.
        channels: 1 converts to gray, 3 to color; None keeps the channels.
        background: The color behind transparent pixels.
        allow_truncated: Whether a truncated image is decoded as far as possible.
        at_least: Height and width that are needed; a much larger JPEG may be decoded at ½, ¼ or ⅛ of its
            size.
        white: The stored value that is white. Default: the largest value of the type.
        adapt: Whether white is the largest value of the depth that the image uses; see `own_white`.

    Returns:
        The pixels and facts about the file.

    Raises:
        DecodeError: The content is not an image, is damaged or truncated, or is a decompression bomb.
    """
    if not content:
        raise DecodeError("not_an_image", "the file is empty")
    try:
        if content.startswith(b"\x93NUMPY"):
            return decode_array(content, channels, white, adapt=adapt)
        if (
            content.startswith(b"\xff\xd8")
            and (found := decode_jpeg(content, channels, at_least)) is not None
        ):
            return found
        with opened(content) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DecodeError(
                    "unreadable", f"{image.width}×{image.height} pixels; the limit is {MAX_PIXELS:,}"
                )
            size, mode, profile = image.size, image.mode, "icc_profile" in image.info
            whole = loaded(content, image, allow_truncated)
            turned = orientation(whole)  # read after the pixels: in a PNG it would hide their errors
            pixels, white, full = pixels_of(whole, channels, background, white, adapt=adapt)
            upright = apply_orientation(pixels, turned)
            return Picture(upright, size, mode, turned, profile, white, full)
    except DecodeError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise _trouble(content, error) from error


def read_picture(
    path: Path, channels: int | None = None, *, background: str = "white", allow_truncated: bool = False
) -> Pixels:
    """Read the pixels of an image file, uint8 C×H×W at its own size.

    Args:
        path: The file.
        channels: 1 converts to gray, 3 to color; None keeps the channels.
        background: The color behind transparent pixels.
        allow_truncated: Whether a truncated image is decoded as far as possible.

    Raises:
        DataError: The file is missing, not an image, truncated, or a decompression bomb.
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
    """Decode a file; see `decode`. Errors name the file."""
    return decode_named(
        str(path),
        file_bytes(path),
        channels=channels,
        background=background,
        allow_truncated=allow_truncated,
        at_least=at_least,
    )


def decode_named(location: str, content: bytes, **options: Any) -> Picture:
    """Decode the content of a file; see `decode`. Errors name its location."""
    try:
        return decode(content, **options)
    except DecodeError as error:
        raise DataError(f"{location}: not a readable image: {error.reason}") from error


def file_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        found = path.stat()
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):  # /dev/zero has no end
            raise DataError(f"{path}: a device, not an image file")
        if (size := found.st_size) > LARGEST_FILE:
            raise DataError(
                f"{path}: has {size / 1e9:.1f} GB; files are read up to {LARGEST_FILE / 1e9:g} GB"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def header_size(content: bytes) -> tuple[int, int] | None:
    """Width and height according to the header of an image, without decoding it; None if it has none.

    Raises:
        DecodeError: It states more pixels than any image that is read.
    """
    try:
        with opened(content) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise DecodeError("unreadable", str(error)) from None
    except Exception:  # damaged files make decoders raise nearly anything; `decode` says what is wrong
        return None


def _trouble(content: bytes, error: Exception) -> DecodeError:
    """The kind of problem behind a decoder's error."""
    text = " ".join(str(error).split()) or type(error).__name__
    known = format_of(content)
    if isinstance(error, Image.DecompressionBombError):
        return DecodeError("unreadable", text)
    if "truncated" in text.lower() or lacks_end(content):
        return DecodeError("truncated", "the file is truncated")
    if isinstance(error, UnidentifiedImageError):
        if known is None:
            return DecodeError("not_an_image", "not in a known image format")
        return DecodeError("unreadable", f"{known} that cannot be read")
    return DecodeError("unreadable", f"{known + ': ' if known else ''}{text}")
