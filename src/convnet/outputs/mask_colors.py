"""Colors of masks: of classes, over images, and of wrong pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convnet.outputs.kind import Picture

ALPHA = 0.45
WRONG = (214, 39, 40)
PALETTE = (
    (53, 102, 184), (217, 114, 46), (47, 143, 91), (160, 72, 156), (196, 61, 75), (93, 106, 122), (138, 116,
    20), (29, 138, 153), (240, 190, 60), (120, 180, 60), (230, 130, 180), (90, 60, 30),
)  # fmt: skip

Mask = NDArray[np.integer]


def class_colors(count: int) -> NDArray[np.uint8]:
    """A color for each class, K×3: twelve distinct colors, then darker versions of them."""
    colors = [
        tuple(int(c * 0.7 ** (k // len(PALETTE))) for c in PALETTE[k % len(PALETTE)]) for k in range(count)
    ]
    return np.array(colors, np.uint8).reshape(-1, 3)


def colored(mask: Mask) -> Picture:
    """Class indices H×W → colors H×W×3; black where there is no class."""
    inside = mask >= 0
    colors = class_colors(int(mask.max(initial=0)) + 1)
    return np.where(inside[..., None], colors[np.where(inside, mask, 0)], 0).astype(np.uint8)


def blended(image: Picture, colors: Picture, where: NDArray[np.bool_] | None = None) -> Picture:
    """An image (gray or RGB) with colors blended over it, everywhere or only at `where`."""
    base = np.broadcast_to(image, colors.shape).astype(np.float32)
    mixed = (1 - ALPHA) * base + ALPHA * colors
    if where is not None:
        mixed = np.where(where[..., None], mixed, base)
    return mixed.round().astype(np.uint8)


def marked(image: Picture, where: NDArray[np.bool_]) -> Picture:
    """An image with the pixels at `where` in red."""
    base = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.where(where[..., None], np.array(WRONG, np.uint8), base).astype(np.uint8)
