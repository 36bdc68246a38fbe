"""Convolution arithmetic: output sizes of layers, and the smallest images."""

from __future__ import annotations

import torch
from torch import nn

from convnet.errors import ModelError
from convnet.meta import MetaMode, on_shapes


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """floor((N + 2P − F)/S) + 1, the number of positions of a window along one side.

    Args:
        size: The side N of the input.
        kernel_size: The side F of the window.
        stride: S.
        padding: P zeros on either side.
    """
    return (size + 2 * padding - kernel_size) // stride + 1


def output_shape(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The output shape of a module for an input of `shape`, both without the batch dimension.

    Runs on torch's meta device, without computing or allocating anything.
    """
    x = torch.empty(2, *shape, device="meta")
    with torch.no_grad(), on_shapes(), MetaMode():
        output: torch.Tensor = module(x)
    return tuple(output.shape[1:])


def require_size(model: str, image_size: tuple[int, int], smallest: int) -> None:
    """Check that both sides of the image have at least `smallest` pixels.

    Raises:
        ModelError: The image is smaller.
    """
    height, width = image_size
    if min(height, width) < smallest:
        raise ModelError(
            f"{model} needs images of at least {smallest}×{smallest} pixels, got {height}×{width}; "
            f"use larger images (convnet train: --set preprocess.image_size={smallest}; convnet summary: "
            f"--input CHANNELSx{smallest}x{smallest}) or another network"
        )
