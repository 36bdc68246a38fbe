"""Convolution arithmetic (M24): how large the output of layers is, and which images are too small."""

from __future__ import annotations

import torch
from torch import nn

from convnet.errors import ModelError
from convnet.meta import MetaMode


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """floor((N + 2P − F)/S) + 1, the number of places of a window along one side (M24)."""
    return (size + 2 * padding - kernel_size) // stride + 1


def output_shape(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the module makes of one input of `shape`, both without the batch.

    Runs on torch's meta device: nothing is computed, and no memory is taken.
    """
    x = torch.empty(2, *shape, device="meta")
    with torch.no_grad(), torch.device("meta"), MetaMode():
        output: torch.Tensor = module(x)
    return tuple(output.shape[1:])


def require_size(model: str, image_size: tuple[int, int], smallest: int) -> None:
    """Raise ModelError unless both sides of the image reach `smallest` pixels."""
    height, width = image_size
    if min(height, width) < smallest:
        raise ModelError(
            f"{model} needs images of at least {smallest}×{smallest} pixels, got {height}×{width}; "
            f"use larger images (in training: --set preprocess.image_size={smallest}) or another network"
        )
