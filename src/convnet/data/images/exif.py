"""EXIF orientation: read it, and turn images upright."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
ORIENTATION = 0x0112
"""The EXIF tag."""


def orientation_of(value: object) -> int:
    """An EXIF orientation 1…8; other values become 1 (upright)."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def jpeg_orientation(content: bytes) -> int:
    """The orientation in the EXIF segment of a JPEG; 1 if it is missing or damaged.

    Only one tag of the first directory is read; a general reader takes as long as decoding.
    """
    place = 2
    while place + 1 < len(content) and content[place] == 0xFF and content[place + 1] not in (0xD9, 0xDA):
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0":
            return _tiff_orientation(content[place + 10 : place + 2 + length])
        place += 2 + length
    return 1


def _tiff_orientation(block: bytes) -> int:
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    start = int.from_bytes(block[4:8], order)
    count = int.from_bytes(block[start : start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(block)), 12):
        if int.from_bytes(block[entry : entry + 2], order) == ORIENTATION:
            return orientation_of(int.from_bytes(block[entry + 8 : entry + 10], order))
    return 1


def apply_orientation(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Turn pixels H×W×C upright, given an EXIF orientation 1…8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
