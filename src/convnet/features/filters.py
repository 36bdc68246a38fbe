"""Fixed filters: box, identity, shift, sharpen, Gaussian, Sobel, as modules N×C×H×W → N×C×H×W."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.registry import Odd, Registry

Border = Literal["zeros", "replicate", "reflect"]


# The number of weights is the square of the side; larger kernels would take hours and gigabytes.
Side = Annotated[Odd, Le(99)]
Pixels = Annotated[int, Ge(-49), Le(49)]
Sigma = Annotated[float, Gt(0), Le(16)]

FILTERS: Registry[Callable[..., nn.Module], Any] = Registry("kernel")


class FixedFilter(nn.Module):
    """True convolution of every channel with one kernel, which is flipped (unlike in convolution layers).

    Args:
        kernel: K×L, with odd sides.
        border: Pixels outside the image: "zeros", "replicate" (the border pixel) or "reflect".
    """

    kernel: Tensor

    def __init__(self, kernel: Float[Tensor, "K L"], *, border: Border = "zeros") -> None:
        super().__init__()
        self.register_buffer("kernel", kernel)
        self.border = border

    @property
    def is_signed(self) -> bool:
        """Whether the weights sum to zero, so that outputs have both signs."""
        return abs(float(self.kernel.sum())) < 1e-6

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """y[i, j] = Σ_k Σ_l kernel[k, l] · x[i − k, j − l], with k and l counted from the center."""
        rows, columns = (size // 2 for size in self.kernel.shape)
        mode = "constant" if self.border == "zeros" else self.border
        padded = F.pad(x, (columns, columns, rows, rows), mode=mode)
        channels = x.shape[1]
        weight = self.kernel.flip(0, 1).to(x.dtype).expand(channels, 1, -1, -1)
        return F.conv2d(padded, weight, groups=channels)


class GradientMagnitude(nn.Module):
    """The gradient magnitude sqrt(g_x² + g_y²) with Sobel kernels."""

    is_signed = False

    def __init__(self, *, border: Border = "zeros") -> None:
        super().__init__()
        self.x, self.y = sobel_x(border=border), sobel_y(border=border)

    def forward(self, image: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Same shape in and out."""
        across: Tensor = self.x(image)
        down: Tensor = self.y(image)
        return torch.hypot(across, down)


@FILTERS.register("identity")
def identity(*, border: Border = "zeros") -> FixedFilter:
    """1 at the center: the image itself."""
    return FixedFilter(torch.ones(1, 1), border=border)


@FILTERS.register("box")
def box(*, size: Side = 3, border: Border = "zeros") -> FixedFilter:
    """The mean over size×size pixels."""
    return FixedFilter(torch.full((size, size), 1 / size**2), border=border)


@FILTERS.register("shift")
def shift(*, right: Pixels = 1, down: Pixels = 0, border: Border = "zeros") -> FixedFilter:
    """Shift the image: a single 1 away from the center of the kernel."""
    reach = max(abs(right), abs(down))
    kernel = torch.zeros(2 * reach + 1, 2 * reach + 1)
    kernel[reach + down, reach + right] = 1
    return FixedFilter(kernel, border=border)


@FILTERS.register("sharpen")
def sharpen(*, size: Side = 3, border: Border = "zeros") -> FixedFilter:
    """2·identity − box: adds what the box filter removes."""
    kernel = torch.full((size, size), -1 / size**2)
    kernel[size // 2, size // 2] += 2
    return FixedFilter(kernel, border=border)


@FILTERS.register("gaussian")
def gaussian(*, sigma: Sigma = 1.0, border: Border = "zeros") -> FixedFilter:
    """exp(−(x² + y²)/2σ²), scaled to a sum of 1, out to three σ (in pixels)."""
    reach = max(1, math.ceil(3 * sigma))
    profile = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    profile = profile / profile.sum()
    return FixedFilter(torch.outer(profile, profile), border=border)


@FILTERS.register("sobel-x")
def sobel_x(*, border: Border = "zeros") -> FixedFilter:
    """The horizontal gradient, positive where brightness increases to the right: [1 2 1]ᵀ·[1 0 −1]."""
    return FixedFilter(torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 0, -1])), border=border)


@FILTERS.register("sobel-y")
def sobel_y(*, border: Border = "zeros") -> FixedFilter:
    """The vertical gradient, positive where brightness increases downwards: [1 0 −1]ᵀ·[1 2 1]."""
    return FixedFilter(torch.outer(torch.tensor([1.0, 0, -1]), torch.tensor([1.0, 2, 1])), border=border)


@FILTERS.register("sobel")
def sobel(*, border: Border = "zeros") -> GradientMagnitude:
    """The magnitude of both Sobel gradients: edges of any direction."""
    return GradientMagnitude(border=border)
