"""The simplest features: the pixels themselves, and polar coordinates of points of the plane (M04)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.features.registry import FEATURES


class Pixels(nn.Flatten):
    """N×C×H×W → N×CHW."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.out_features = out_features


class Polar(nn.Module):
    """(x, y) → (r, θ): distance from the origin and direction, in half turns of −1…1 (M04)."""

    out_features = 2

    def forward(self, x: Float[Tensor, "N 2 1 1"]) -> Float[Tensor, "N 2"]:
        """N×2×1×1 points → N×2."""
        across, up = x.flatten(1).unbind(1)
        return torch.stack([torch.hypot(across, up), torch.atan2(up, across) / math.pi], 1)


@FEATURES.register("pixels")
def pixels(in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """The numbers themselves: C·H·W of them."""
    return Pixels(in_channels * math.prod(image_size))


@FEATURES.register("polar")
def polar(in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Polar coordinates of points of the plane: what lies around something else becomes separable (M04)."""
    if (in_channels, *image_size) != (2, 1, 1):
        raise ModelError("polar takes points of the plane: data of two numbers a sample")
    return Polar()
