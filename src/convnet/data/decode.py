"""From an image file to uint8 pixels: one function, used for training, evaluation and prediction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from convnet.data.preprocess import ResizePolicy, fit_image
from convnet.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_PIXELS = 178_956_970
"""Larger pictures are taken for decompression bombs; Pillow's own limit for refusing them."""


def read_image(path: Path, size: tuple[int, int], channels: int, resize: ResizePolicy) -> NDArray[np.uint8]:
    """Decode, turn upright (EXIF), convert to grey or RGB, resize: uint8 C×H×W.

    Animations give their first frame; transparency is laid over white.

    Raises:
        DataError: the file is missing, no image, truncated, or a decompression bomb.
    """
    mode = "L" if channels == 1 else "RGB"
    with opened(path) as image:
        if image.format == "JPEG":  # decode at ½, ¼ or ⅛ where that is still larger than needed
            image.draft(mode, (2 * size[1], 2 * size[0]))
        pixels = np.asarray(fit_image(_flatten(_upright(image), mode), size, resize))
    return pixels.reshape(*size, channels).transpose(2, 0, 1)


def read_picture(path: Path, channels: int | None = None) -> NDArray[np.uint8]:
    """The same at the picture's own size: uint8 C×H×W; by default one channel of grey pictures, else three.

    Raises:
        DataError: as `read_image`.
    """
    with opened(path) as image:
        grey = image.mode in ("1", "L", "LA", "I", "I;16", "F") if channels is None else channels == 1
        pixels = np.asarray(_flatten(_upright(image), "L" if grey else "RGB"))
    return np.atleast_3d(pixels).transpose(2, 0, 1)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, open; whatever goes wrong within ends in one message that names it."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}×{image.height} pixels; the limit is {MAX_PIXELS:,}")
            yield image
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise DataError(f"{path}: not a readable image: {_reason(error)}") from error


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence Pillow's remarks on odd metadata; around threads, since filters belong to the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata does not make a picture unreadable
        return image


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """Convert to grey or RGB, with transparent places white and 16-bit greys scaled, not clipped."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image, np.float64)
        image = Image.fromarray((values / 257).clip(0, 255).round().astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        image = Image.alpha_composite(white, picture)
    return image.convert(mode)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is in no known format"
    return str(error) or type(error).__name__
