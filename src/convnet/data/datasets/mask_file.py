"""Read mask files: indices, gray values or colors per pixel."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnet.data.images.exif import apply_orientation
from convnet.data.images.pillow import opened, orientation
from convnet.errors import DataError, in_one_line

Values = NDArray[np.int64]
"""H×W; colors are encoded as red · 65536 + green · 256 + blue."""


@dataclass(frozen=True)
class RawMask:
    """The values of a mask file: indices, gray values or colors."""

    path: Path
    values: Values
    colored: bool
    palette: bool


def read_mask(path: Path, content: bytes, *, by_color: bool) -> RawMask:
    """Read a mask, turned upright by its EXIF orientation.

    Args:
        path: The file, for messages.
        content: Its content.
        by_color: Whether the classes are given by colors, also those of a palette.

    Raises:
        DataError: The file is damaged, a JPEG, or holds fractions.
    """
    try:
        if content.startswith(b"\x93NUMPY"):
            return RawMask(path, _array_values(path, content), False, False)
        with opened(content) as image:
            if image.format == "JPEG":
                raise DataError(
                    f"{path}: JPEG compression changes the values of a mask; export the masks as PNG from "
                    "where they were drawn"
                )
            image.load()
            turned = orientation(image)
            values, colored = _values(path, image, by_color)
            upright = apply_orientation(values[:, :, None], turned)
            return RawMask(path, upright[:, :, 0], colored, image.mode in ("P", "PA"))
    except DataError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        text = in_one_line(error)
        reason = "not an image, or damaged" if "BytesIO" in text else text
        raise DataError(f"{path}: not a readable mask: {reason}; remove it and its image") from error


def _array_values(path: Path, content: bytes) -> Values:
    """The values of a .npy array H×W of whole numbers."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: has {array.dtype} of shape {array.shape}; expected whole numbers H×W")
    if array.dtype.kind == "f" and not np.all(array % 1 == 0):
        raise DataError(f"{path}: holds fractions; classes are whole numbers")
    values: Values = array.astype(np.int64)
    return values


def _values(path: Path, image: Image.Image, by_color: bool) -> tuple[Values, bool]:
    """The values, and whether they are colors."""
    mode = image.mode
    if mode == "F":
        numbers = np.asarray(image)
        if (numbers % 1).any():
            raise DataError(f"{path}: holds fractions; classes are whole numbers")
        return numbers.astype(np.int64), False
    plain = mode in ("1", "L", "LA") or (mode in ("P", "PA") and not by_color)
    if mode.startswith("I") or (plain and not by_color):
        flat = image.convert("L") if mode in ("1", "LA") else image
        values = np.asarray(flat)
        return values.astype(np.int64) if values.ndim == 2 else values[:, :, 0].astype(np.int64), False
    channels = np.moveaxis(np.asarray(image.convert("RGBA")).astype(np.int64), 2, 0)
    red, green, blue, alpha = channels
    if mode in ("RGBA", "LA") and np.ptp(channels[:3], axis=(1, 2)).max() == 0 and np.ptp(alpha):
        return alpha, False  # the mask is the transparency of a picture of one color
    if not by_color and (red == green).all() and (green == blue).all():
        return red, False
    return red << 16 | green << 8 | blue, True
