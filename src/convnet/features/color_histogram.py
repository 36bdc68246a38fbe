"""Color histograms, raw and smoothed."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.features.registry import FEATURES, parts
from convnet.registry import NonNegative

ColorSpace = Literal["rgb", "hsv"]
Bins = Annotated[int, Ge(2), Le(64)]

PIXELS_AT_ONCE = 1 << 21


class ColorHistogram(nn.Module):
    """The fraction of pixels in each cell of a grid over color space: bins^C numbers that sum to 1.

    Args:
        channels: 1 or 3.
        bins: Bins per channel.
        space: "rgb" or "hsv"; values are 0…1.
        sigma: The standard deviation, in bins, of a Gaussian that smooths the histogram, so that similar
            colors share bins. Hue is circular; each kernel is normalized at the ends of other axes.
    """

    def __init__(self, channels: int, bins: int, space: ColorSpace, sigma: float) -> None:
        super().__init__()
        self.channels, self.bins, self.space, self.sigma = channels, bins, space, sigma
        self.out_features = bins**channels

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """N×bins^C, in the order of the first channel, then the second, then the third."""
        group = max(1, PIXELS_AT_ONCE // math.prod(x.shape[1:]))
        counts = torch.cat([self._count(part) for part in parts(x, group)])
        shares = counts.to(torch.float32) / math.prod(x.shape[2:])
        return self._smooth(shares) if self.sigma else shares

    def _count(self, x: Tensor) -> Tensor:
        """Pixels per bin: N×bins^C."""
        if self.space == "hsv":
            x = to_hsv(x)
        places: Tensor = torch.zeros((), dtype=torch.int32, device=x.device)
        for channel in x.unbind(1):
            places = places * self.bins + (channel * self.bins).int().clamp_(0, self.bins - 1)
        cells = self.bins**self.channels
        if torch.compiler.is_exporting():
            chosen = places.flatten(1).long()
            return x.new_zeros(x.shape[0], cells).scatter_add(
                1, chosen, torch.ones_like(chosen, dtype=x.dtype)
            )
        places = places.flatten(1) + torch.arange(len(x), device=x.device, dtype=torch.int32)[:, None] * cells
        counts = torch.bincount(places.flatten(), minlength=len(x) * cells)
        return counts.view(len(x), cells)

    def _smooth(self, shares: Tensor) -> Tensor:
        grid = shares.unflatten(1, (self.bins,) * self.channels)
        for axis in range(1, self.channels + 1):
            circular = self.space == "hsv" and axis == 1
            kernel = _smoothing(self.bins, self.sigma, circular=circular).to(shares)
            grid = (grid.movedim(axis, -1) @ kernel).movedim(-1, axis)
        smoothed: Tensor = grid.flatten(1)
        return smoothed

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"{self.bins} bins of each of {self.channels} channels, {self.space}, sigma {self.sigma:g}"


def to_hsv(x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """RGB of 0…1 → hue (0 red, ⅓ green, ⅔ blue), saturation and value of 0…1."""
    red, green, blue = x.unbind(1)
    value, spread = x.amax(1), x.amax(1) - x.amin(1)
    safe = spread.clamp_min(1e-12)
    hue = torch.where(
        value == red,
        ((green - blue) / safe) % 6,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = torch.where(spread > 0, hue / 6, 0)
    return torch.stack([hue % 1, spread / value.clamp_min(1e-12), value], 1)


def _smoothing(bins: int, sigma: float, *, circular: bool) -> Float[Tensor, "B B"]:
    """The smoothing matrix: row i distributes bin i, and sums to 1."""
    place = torch.arange(bins)
    distance = (place[:, None] - place).abs()
    if circular:
        distance = torch.minimum(distance, bins - distance)
    kernel = torch.exp(-0.5 * (distance / max(sigma, 0.01)) ** 2)  # 0.01 bins do not smooth
    return kernel / kernel.sum(1, keepdim=True)


@FEATURES.register("color")
def color(
    in_channels: int,
    image_size: tuple[int, int],
    *,
    bins: Bins = 8,
    space: ColorSpace = "rgb",
    sigma: NonNegative = 0.0,
) -> nn.Module:
    """A color histogram of bins³ numbers, or of brightness for gray images.

    Args:
        in_channels: 1 or 3.
        image_size: Not used.
        bins: Bins per channel.
        space: "rgb" or "hsv".
        sigma: The standard deviation of the smoothing, in bins.
    """
    if in_channels not in (1, 3):
        raise ModelError(f"color takes gray or RGB images, got {in_channels} channels")
    if space == "hsv" and in_channels == 1:
        raise ModelError("color: gray images have no hue; use color(space=rgb)")
    return ColorHistogram(in_channels, bins, space, sigma)
