"""EXIF orientation: how a stored picture is turned upright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def orientation_of(value: object) -> int:
    """1…8 as EXIF has it; what is none of these means upright."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """H×W×C as it is to be seen, for an EXIF orientation of 1…8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
