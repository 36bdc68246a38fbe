"""Convolution arithmetic (M24) and 'same' convolution for every kernel size."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import ModelError


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """floor((N + 2P − F)/S) + 1, the number of places of a window along one side (M24)."""
    return (size + 2 * padding - kernel_size) // stride + 1


def require_size(model: str, image_size: tuple[int, int], smallest: int) -> None:
    """Raise ModelError unless both sides of the image reach `smallest` pixels."""
    height, width = image_size
    if min(height, width) < smallest:
        raise ModelError(
            f"{model} needs images of at least {smallest}×{smallest} pixels, got {height}×{width}; "
            f"use larger images (--set preprocess.image_size={smallest}) or another network (--model mlp)"
        )


class SameConv2d(nn.Conv2d):
    """Stride-1 convolution whose output has the size of its input.

    An even kernel needs one more row and column of zeros on one side; they go to the bottom and the
    right, as TensorFlow and Keras do (M48's 2×2 kernel).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2, **options)
        self._extra = (kernel_size - 1) % 2

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D H W"]:
        """N×C×H×W → N×D×H×W."""
        if self._extra:
            x = F.pad(x, (0, self._extra, 0, self._extra))
        return super().forward(x)
