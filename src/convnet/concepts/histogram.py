"""The color histogram of an image, raw and smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from convnet.concepts.concept import table
from convnet.errors import DataError
from convnet.features import FEATURES
from convnet.features.color_histogram import ColorSpace

SHOWN = 8
"""The number of bins that are printed."""


@dataclass(frozen=True)
class ColorHistograms:
    """The histogram of an image over a grid of colors, raw and smoothed.

    Attributes:
        image: The image, C×H×W.
        bins: Bins per channel.
        space: "rgb" or "hsv"; "gray" for gray images.
        sigma: The standard deviation of the smoothing, in bins.
        raw: bins^C shares that sum to 1.
        smoothed: The same, smoothed.
    """

    image: Tensor
    bins: int
    space: str
    sigma: float
    raw: NDArray[Any]
    smoothed: NDArray[Any]

    @property
    def colors(self) -> NDArray[Any]:
        """The color in the middle of every bin, bins^C×C, in the histogram's own space, 0…1."""
        middles = (torch.arange(self.bins) + 0.5) / self.bins
        channels = round(torch.tensor(len(self.raw)).log().item() / torch.tensor(self.bins).log().item())
        found: NDArray[Any] = torch.cartesian_prod(*[middles] * channels).reshape(-1, channels).numpy()
        return found

    def to_dict(self) -> dict[str, Any]:
        """The shares as plain values."""
        return {
            "bins": self.bins,
            "space": self.space,
            "sigma": self.sigma,
            "numbers": len(self.raw),
            "raw": self.raw.tolist(),
            "smoothed": self.smoothed.tolist(),
        }

    def __str__(self) -> str:
        order = self.raw.argsort()[::-1][:SHOWN]
        colors = self.colors
        rows = [(f"color ({self.space}, 0 to 1)", "share of pixels", "smoothed")]
        for place in order.tolist():
            color = ", ".join(f"{value:.2f}" for value in colors[place])
            rows.append((color, f"{self.raw[place]:.2%}", f"{self.smoothed[place]:.2%}"))
        empty = float((self.raw == 0).mean())
        bins = f"{len(self.raw)} bins, {empty:.0%} of them empty; the largest {len(order)} are listed"
        return f"{table(rows)}\n{bins}"


def color_histogram(
    image: UInt8[Tensor, "C H W"], *, bins: int = 4, space: ColorSpace = "rgb", sigma: float = 0.5
) -> ColorHistograms:
    """Count the colors of an image.

    Args:
        image: uint8 C×H×W, gray or RGB.
        bins: Bins per channel, 2 to 16.
        space: "rgb" or "hsv".
        sigma: The standard deviation of the smoothing, in bins.

    Returns:
        The histogram, raw and smoothed.

    Raises:
        DataError: The number of bins is out of range.
        ModelError: The image is neither gray nor RGB, or gray with "hsv".
        RecipeError: Sigma is negative.
    """
    if not 2 <= bins <= 16:
        raise DataError(f"bins {bins}: expected 2 to 16")
    channels, height, width = image.shape
    pixels = image[None].float() / 255
    made = [
        FEATURES.build("color", channels, (height, width), bins=bins, space=space, sigma=smoothing)(pixels)
        for smoothing in (0.0, sigma)
    ]
    raw, smoothed = (one[0].numpy() for one in made)
    return ColorHistograms(image, bins, space if channels == 3 else "gray", sigma, raw, smoothed)
