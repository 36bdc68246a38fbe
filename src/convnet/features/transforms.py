"""The simplest features: pixels, and polar coordinates of points in the plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.features.registry import FEATURES
from convnet.registry import Registry


class Pixels(nn.Flatten):
    """N×C×H×W → N×CHW."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.out_features = out_features


class Polar(nn.Module):
    """(x, y) → (r, θ): distance from the origin, and direction in half turns, −1…1."""

    out_features = 2

    def forward(self, x: Float[Tensor, "N 2 1 1"]) -> Float[Tensor, "N 2"]:
        """Points N×2×1×1 → N×2."""
        across, up = x.flatten(1).unbind(1)
        return torch.stack([torch.hypot(across, up), torch.atan2(up, across) / math.pi], 1)


@FEATURES.register("pixels")
def pixels(in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The C·H·W pixels themselves."""
    return Pixels(in_channels * math.prod(image_size))


@FEATURES.register("polar")
def polar(in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Polar coordinates of points in the plane, which make concentric classes separable."""
    if (in_channels, *image_size) != (2, 1, 1):
        raise ModelError("polar takes points in the plane, that is, two numbers per sample")
    return Polar()


PointOperation = Callable[[Tensor], Tensor]

POINT_OPERATIONS: Registry[PointOperation, Any] = Registry("point operation")


@POINT_OPERATIONS.register("darken")
def darken(x: Tensor) -> Tensor:
    """x − 128."""
    return x - 128


@POINT_OPERATIONS.register("lower-contrast")
def lower_contrast(x: Tensor) -> Tensor:
    """x/2."""
    return x / 2


@POINT_OPERATIONS.register("lower-contrast-nonlinear")
def lower_contrast_nonlinear(x: Tensor) -> Tensor:
    """(x/255)^(1/3) · 255."""
    return (x / 255).pow(1 / 3) * 255


@POINT_OPERATIONS.register("invert")
def invert(x: Tensor) -> Tensor:
    """255 − x."""
    return 255 - x


@POINT_OPERATIONS.register("lighten")
def lighten(x: Tensor) -> Tensor:
    """x + 128."""
    return x + 128


@POINT_OPERATIONS.register("raise-contrast")
def raise_contrast(x: Tensor) -> Tensor:
    """2x."""
    return 2 * x


@POINT_OPERATIONS.register("raise-contrast-nonlinear")
def raise_contrast_nonlinear(x: Tensor) -> Tensor:
    """(x/255)² · 255."""
    return (x / 255).square() * 255
