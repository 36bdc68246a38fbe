"""Whether two similar images are one photo that was saved again, resized or cropped.

Pictures of different things under a fixed camera, X-rays and drawings look alike as thumbnails, too. A copy
differs from its original by compression and resampling only: nowhere by much, and not in its noise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convnet.data.files.manifest import Manifest
from convnet.data.images.decode import decode
from convnet.data.images.pixels import LUMA, DecodeError
from convnet.errors import DataError

SIDE = 64
"""The size at which images are compared."""
CENTER = 64
"""The side of the piece of the center that is compared at its own resolution."""
DIFFERENCE = 8.0
"""The largest difference of smoothed pixels of a copy, of 255; measured on photos, see docs/decisions.md."""
CROPPED_DIFFERENCE = 16.0
"""The same after a crop was undone, where the scene is interpolated."""
NOISE = 0.8
"""The largest part of the fine detail that may differ; 1 for images with independent noise."""
MISALIGNED = 3.0
"""The median difference from which a crop is searched for; images of a fixed camera differ in few places."""
LARGEST_CROP = 0.12
Gray = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """An image as it is compared: 64×64, and the center at full resolution.

    Attributes:
        small: The gray image resized to 64×64.
        center: A piece of the center at full resolution.
        size: Height and width of the image.
    """

    small: Gray
    center: Gray
    size: tuple[int, int]


class Views:
    """Views of samples, read when they are first needed."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.known: dict[int, View | None] = {}

    def read(self, places: Iterable[int]) -> None:
        """Read the views of some samples, with one thread per core."""
        missing = sorted({*places} - self.known.keys())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self.known.update(zip(missing, pool.map(self._view, missing), strict=True))

    def same_photo(self, one: int, other: int) -> bool:
        """Whether two samples are one photo. Both must have been read."""
        a, b = self.known[one], self.known[other]
        return a is not None and b is not None and same_photo(a, b)

    def _view(self, place: int) -> View | None:
        try:
            content = self.manifest.store.read(self.manifest.samples[place].entry.name)
            pixels = decode(content, allow_truncated=True, adapt=True).pixels
        except (DecodeError, DataError):
            return None
        return view_of(pixels)


def view_of(pixels: NDArray[np.uint8]) -> View:
    """The view of an image H×W×C."""
    values = pixels.astype(np.float32)
    gray: Gray = values[:, :, :3] @ np.array(LUMA, np.float32) if values.shape[2] >= 3 else values[:, :, 0]
    height, width = gray.shape
    top, left = max(0, (height - CENTER) // 2), max(0, (width - CENTER) // 2)
    small = np.asarray(Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float32)
    return View(small, gray[top : top + CENTER, left : left + CENTER].copy(), (height, width))


def same_photo(a: View, b: View) -> bool:
    """Whether two similar images are one photo, saved again, resized or cropped by up to a tenth."""
    if a.size == b.size and _noise(a.center, b.center) > NOISE:
        return False
    difference = _smooth(a.small - b.small, 1.0)
    difference = np.abs(difference - np.median(difference))
    if difference.max() <= DIFFERENCE:
        return True
    if np.median(difference) < MISALIGNED:
        return False
    return min(_aligned(a.small, b.small), _aligned(b.small, a.small)) <= CROPPED_DIFFERENCE


def _noise(a: Gray, b: Gray) -> float:
    """The part of the fine detail of two images that differs: 0 for copies, 1 for independent noise."""
    fine, other = a - _smooth(a, 1.0), b - _smooth(b, 1.0)
    energy = float((fine**2).mean() + (other**2).mean())
    return float(((fine - other) ** 2).mean()) / energy if energy > 1 else 0.0


def _aligned(a: Gray, b: Gray) -> float:
    """The largest difference after `b` is scaled and moved onto `a`, by Gauss-Newton steps."""
    from scipy.ndimage import map_coordinates  # imported here because it takes a tenth of a second

    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - middle
    scale_y, move_y, scale_x, move_x = 1.0, 0.0, 1.0, 0.0
    for sigma, steps in ((4.0, 8), (2.0, 8), (1.0, 6)):
        wanted, given = _smooth(a, sigma), _smooth(b, sigma)
        slope_y, slope_x = np.gradient(given)
        for _ in range(steps):
            places = np.stack([scale_y * y + move_y + middle, scale_x * x + move_x + middle])
            inside = ((places >= 1) & (places <= SIDE - 2)).all(0)
            residual = (wanted - map_coordinates(given, places, order=1, mode="nearest"))[inside]
            dy = map_coordinates(slope_y, places, order=1, mode="nearest")
            dx = map_coordinates(slope_x, places, order=1, mode="nearest")
            columns = np.stack([(dy * y)[inside], dy[inside], (dx * x)[inside], dx[inside]], 1)
            step = np.linalg.lstsq(columns, residual - residual.mean(), rcond=None)[0]
            scale_y, move_y, scale_x, move_x = np.array([scale_y, move_y, scale_x, move_x]) + step
            if max(abs(scale_y - 1), abs(scale_x - 1)) > 2 * LARGEST_CROP:
                return np.inf
            if max(abs(move_y), abs(move_x)) > SIDE * LARGEST_CROP:
                return np.inf
    difference = wanted - map_coordinates(given, places, order=3, mode="nearest")
    return float(np.abs(difference - np.median(difference[inside]))[inside].max())


def _smooth(image: Gray, sigma: float) -> Gray:
    from scipy.ndimage import gaussian_filter  # imported here because it takes a tenth of a second

    smooth: Gray = gaussian_filter(image, sigma)
    return smooth
