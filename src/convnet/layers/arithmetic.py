"""Convolution arithmetic (M24): how large the output of layers is, and which images are too small."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.func import functional_call

from convnet.errors import ModelError


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0) -> int:
    """floor((N + 2P − F)/S) + 1, the number of places of a window along one side (M24)."""
    return (size + 2 * padding - kernel_size) // stride + 1


def output_shape(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the module makes of one input of `shape`, both without the batch.

    Runs on torch's meta device: nothing is computed, and no memory is taken.
    """
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    meta = {name: tensor.to("meta") for name, tensor in tensors}
    with torch.no_grad():
        output: torch.Tensor = functional_call(module, meta, torch.empty(2, *shape, device="meta"))
    return tuple(output.shape[1:])


def require_size(model: str, image_size: tuple[int, int], smallest: int) -> None:
    """Raise ModelError unless both sides of the image reach `smallest` pixels."""
    height, width = image_size
    if min(height, width) < smallest:
        raise ModelError(
            f"{model} needs images of at least {smallest}×{smallest} pixels, got {height}×{width}; "
            f"use larger images (--set preprocess.image_size={smallest}) or another network (--model mlp)"
        )
