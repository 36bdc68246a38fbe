"""Masks as colours, over an image or by themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convnet.tasks.task import Picture

ALPHA = 0.45
WRONG = (214, 39, 40)
PALETTE = (
    (53, 102, 184), (217, 114, 46), (47, 143, 91), (160, 72, 156), (196, 61, 75), (93, 106, 122), (138, 116,
    20), (29, 138, 153), (240, 190, 60), (120, 180, 60), (230, 130, 180), (90, 60, 30),
)  # fmt: skip

Mask = NDArray[np.integer]


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each class, K×3: twelve that differ well, then darker and darker ones."""
    colours = [
        tuple(int(c * 0.7 ** (k // len(PALETTE))) for c in PALETTE[k % len(PALETTE)]) for k in range(count)
    ]
    return np.array(colours, np.uint8).reshape(-1, 3)


def coloured(mask: Mask) -> Picture:
    """H×W class indices → H×W×3; black where there is none."""
    inside = mask >= 0
    colours = class_colours(int(mask.max(initial=0)) + 1)
    return np.where(inside[..., None], colours[np.where(inside, mask, 0)], 0).astype(np.uint8)


def blended(image: Picture, colours: Picture, where: NDArray[np.bool_] | None = None) -> Picture:
    """Colours over an image (grey or RGB), `where` there are any."""
    base = np.broadcast_to(image, colours.shape).astype(np.float32)
    mixed = (1 - ALPHA) * base + ALPHA * colours
    if where is not None:
        mixed = np.where(where[..., None], mixed, base)
    return mixed.round().astype(np.uint8)


def marked(image: Picture, where: NDArray[np.bool_]) -> Picture:
    """An image with some pixels in red."""
    base = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.where(where[..., None], np.array(WRONG, np.uint8), base).astype(np.uint8)
