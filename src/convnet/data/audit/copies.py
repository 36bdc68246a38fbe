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
BLUR = 1.5
"""The standard deviation, in pixels of the smaller image, that hides the blocks of JPEG."""
LARGEST_BLUR = 1 / 16
"""The same as a part of the side, for the smallest images."""
DIFFERENCE = 9.0
"""The largest difference of smoothed pixels of a copy that was saved again or resized, of 255."""
CROPPED_DIFFERENCE = 16.0
"""The same after a crop was undone."""
DETAIL = 0.1
"""The smallest correlation of the fine detail of a copy; 0 for images with independent noise."""
EXPLAINED = 0.4
"""The part of the squared difference that undoing a crop must remove at first, for the search to go on."""
LEAST_DETAIL = 0.5
"""The squared detail below which images are flat, and their noise is that of rounding."""
REMOVED = 0.25
"""The part of its squared detail that compression may leave to a copy, which is then that of JPEG."""
LARGEST_CROP = 0.12
SMALLEST_CROPPED = 48
"""The shortest side of images that are searched for crops; digits and icons are not cropped."""
Gray = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """An image as it is compared.

    Attributes:
        levels: The gray image at 64, 32 and 16 pixels a side, ever smoother.
        center: A piece of the center at full resolution.
        size: Height and width of the image.
    """

    levels: tuple[NDArray[np.float16], ...]
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
    levels = tuple(_smooth(small, apart)[::apart, ::apart].astype(np.float16) for apart in (1, 2, 4))
    return View(levels, gray[top : top + CENTER, left : left + CENTER].copy(), (height, width))


def same_photo(a: View, b: View) -> bool:
    """Whether two similar images are one photo, saved again, resized or cropped by up to a tenth."""
    if a.size == b.size and _same_detail(a.center, b.center) < DETAIL:
        return False
    side = min(SIDE, *a.size, *b.size)
    sigma = min(BLUR, side * LARGEST_BLUR) * SIDE / side
    blur = float(np.sqrt(sigma**2 - 1))  # the levels are smoothed by 1 pixel
    difference = _smooth(a.levels[0].astype(np.float32) - b.levels[0], blur)
    if np.abs(difference - np.median(difference)).max() <= DIFFERENCE:
        return True
    if min(*a.size, *b.size) < SMALLEST_CROPPED:
        return False
    blur = SIDE / min(SIDE, *a.size, *b.size) - 1
    return min(_aligned(a, b, blur), _aligned(b, a, blur)) <= CROPPED_DIFFERENCE


def _same_detail(a: Gray, b: Gray) -> float:
    """The correlation of the fine detail of two images: 0 for independent noise; 1 if one has hardly any."""
    fine, other = a - _smooth(a, 1.0), b - _smooth(b, 1.0)
    low, high = sorted((float((fine**2).mean()), float((other**2).mean())))
    if low < max(LEAST_DETAIL, REMOVED * high):
        return 1.0
    return float((fine * other).mean()) / float(np.sqrt(low * high))


def _aligned(a: View, b: View, blur: float) -> float:
    """The largest difference after `b` is scaled and moved onto `a`, by Gauss-Newton steps."""
    shift = np.array(
        [1.0, 0.0, 1.0, 0.0]
    )  # scale and move along rows, along columns; moves of the 64×64 image
    for level, steps in ((2, 6), (1, 6), (0, 5)):
        wanted, given = (
            _smooth(view.levels[level].astype(np.float32), blur * (level == 0)) for view in (a, b)
        )
        slopes = np.gradient(given)
        slope_y, slope_x = slopes[0].astype(np.float32), slopes[1].astype(np.float32)
        residual, places, inside, grid = _residual(wanted, given, shift)
        before = residual[inside].var()
        for step in range(steps):
            dy, dx = _at(slope_y, places), _at(slope_x, places)
            columns = np.stack([dy * grid[0], dy, dx * grid[1], dx], -1)[inside]
            found = np.linalg.lstsq(columns, residual[inside] - residual[inside].mean(), rcond=None)[0]
            shift = shift + found * [1, SIDE / len(given), 1, SIDE / len(given)]
            if abs(shift[::2] - 1).max() > 2 * LARGEST_CROP or abs(shift[1::2]).max() > SIDE * LARGEST_CROP:
                return np.inf
            residual, places, inside, grid = _residual(wanted, given, shift)
            if level == 2 and step == 2 and residual[inside].var() > (1 - EXPLAINED) * before:
                return np.inf
    return float(np.abs(residual - np.median(residual[inside]))[inside].max())


def _residual(wanted: Gray, given: Gray, shift: NDArray[np.float64]) -> tuple[Gray, Gray, Mask, Gray]:
    """The difference, where `given` was read, whether that is inside, and the pixels around the center."""
    side = len(given)
    grid = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    moves = shift[1::2, None, None] * side / SIDE + (side - 1) / 2
    places = (grid * shift[::2, None, None] + moves).astype(np.float32)
    inside: Mask = np.all((places >= 1) & (places <= side - 2), axis=0)
    return wanted - _at(given, places), places, inside, grid


def _at(image: Gray, places: Gray) -> Gray:
    from scipy.ndimage import map_coordinates  # imported here because it takes a tenth of a second

    values: Gray = map_coordinates(image, places, order=1, mode="nearest")
    return values


def _smooth(image: Gray, sigma: float) -> Gray:
    if not sigma:
        return image
    from scipy.ndimage import gaussian_filter  # imported here because it takes a tenth of a second

    smooth: Gray = gaussian_filter(image, sigma)
    return smooth
