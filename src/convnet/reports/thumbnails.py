"""Small pictures for pages."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnet.data.images.decode import decode
from convnet.data.images.pixels import DecodeError, to_channels
from convnet.data.images.resize import STRETCH, resize

SIDE = 132
"""The longer side of a thumbnail in pixels."""


class Tile(NamedTuple):
    """A small picture of a page, and what is written below it.

    Attributes:
        picture: A data URI.
        caption: The first line.
        detail: The second line.
        tooltip: Shown when the pointer rests on it.
    """

    picture: str
    caption: str = ""
    detail: str = ""
    tooltip: str = ""


def thumbnail(content: bytes) -> str | None:
    """The content of an image file as a small JPEG in a data URI; None if it cannot be decoded."""
    try:
        pixels = decode(content, at_least=(SIDE, SIDE), allow_truncated=True, adapt=True).pixels
    except DecodeError:
        return None
    return picture_uri(pixels)


def picture_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels H×W×C as a small JPEG in a data URI."""
    shown = enlarged(in_color(pixels), SIDE)  # pixels of tiny images are shown as squares
    height, width = shown.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = resize(shown, (max(1, round(height * scale)), max(1, round(width * scale))), STRETCH)
    written = io.BytesIO()
    Image.fromarray(small).save(written, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()


def in_color(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels H×W×3: the first three channels, or the first one if there are fewer."""
    return pixels[:, :, :3] if pixels.shape[2] >= 3 else to_channels(pixels[:, :, :1], 3)


def enlarged(pixels: NDArray[np.uint8], side: int = 460) -> NDArray[np.uint8]:
    """Pixels H×W×C repeated by the largest whole number with which the longer side is at most `side`."""
    times = max(1, side // max(pixels.shape[:2]))
    return pixels.repeat(times, 0).repeat(times, 1)


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels H×W×3 as a PNG in a data URI, at their own size."""
    written = io.BytesIO()
    Image.fromarray(pixels).quantize(128, method=Image.Quantize.FASTOCTREE).save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def palette_uri(indices: NDArray[np.uint8], colors: NDArray[np.uint8]) -> str:
    """Indices H×W of a table of colors 256×3 as a PNG in a data URI."""
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colors.tobytes())
    written = io.BytesIO()
    picture.save(written, "PNG", compress_level=3)  # twice as fast, and 5% larger
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
