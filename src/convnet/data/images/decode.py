"""Decoding: one function, used for training, evaluation, prediction and the audit.

JPEG by libjpeg-turbo through simplejpeg, everything else by Pillow. On a JPEG the two agree to
`AGREEMENT_DB` or better. Colour profiles (ICC) are ignored.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from convnet.data.images.exif import apply_orientation
from convnet.data.images.formats import format_of, lacks_end
from convnet.data.images.jpeg import decode_jpeg
from convnet.data.images.pillow import loaded, opened, orientation, pixels_of
from convnet.data.images.pixels import MAX_PIXELS, DecodeError, Picture, Pixels, decode_array
from convnet.errors import DataError

AGREEMENT_DB = 50.0
"""Least PSNR between a whole JPEG as simplejpeg decodes it and as Pillow does."""


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
    JPEG to be decoded at ½, ¼ or ⅛ of its size where both sides remain a few times that.

    Raises:
        DecodeError: no image, a damaged one, a truncated one (unless allowed), a decompression bomb.
    """
    if not content:
        raise DecodeError("not_an_image", "the file is empty")
    try:
        if content.startswith(b"\x93NUMPY"):
            return decode_array(content, channels)
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
            turned = orientation(whole)  # of a PNG behind the pixels, whose errors it would hide
            pixels = pixels_of(whole, channels, background)
            return Picture(apply_orientation(pixels, turned), size, mode, turned, profile)
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
