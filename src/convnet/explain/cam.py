"""Class activation maps: where in the image a layer's maps speak for a class."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convnet.errors import ModelError
from convnet.explain.capture import Capture, Operation

SMALLEST = 4
"""The smallest side of the maps of the layer that is chosen."""


def choose_layer(found: Capture) -> Operation:
    """The last layer with maps of at least 4×4, or else the last with more than one position.

    The output itself is not chosen: its maps are the scores of the classes.

    Raises:
        ModelError: No layer has maps with several positions and a gradient.
    """
    maps = [op for op in found.maps if op.gradient is not None and max(op.output.shape[2:]) > 1]
    maps = [op for op in maps if not torch.equal(op.output, found.output)] or maps
    large = [op for op in maps if min(op.output.shape[2:]) >= SMALLEST]
    if not maps:
        raise ModelError("no layer has maps, so there are no class activation maps of this network")
    return (large or maps)[-1]


def grad_cam(op: Operation) -> Float[Tensor, "I J"]:
    """The positive part of the maps' sum, weighted by their mean gradients (Selvaraju et al. 2017).

    Args:
        op: A layer with maps 1×C×I×J and their gradient.
    """
    maps, gradient = _of(op)
    return (gradient.mean((1, 2), keepdim=True) * maps).sum(0).clamp_min(0)


def layer_cam(op: Operation) -> Float[Tensor, "I J"]:
    """The positive part of the maps' sum, weighted by their positive gradients (Jiang et al. 2021).

    Args:
        op: A layer with maps 1×C×I×J and their gradient.
    """
    maps, gradient = _of(op)
    return (gradient.clamp_min(0) * maps).sum(0).clamp_min(0)


def _of(op: Operation) -> tuple[Tensor, Tensor]:
    if op.gradient is None or not op.is_map:
        raise ModelError(f"layer '{op.name}' has no maps with a gradient; choose a convolution")
    return op.output[0].float(), op.gradient[0].float()


def enlarged(cam: Float[Tensor, "I J"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
    """A map interpolated to the size of the image."""
    return F.interpolate(cam[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def normalized(cam: Float[Tensor, "I J"]) -> Float[Tensor, "I J"]:
    """A map with values 0…1; zeros if it is constant."""
    low, high = cam.min(), cam.max()
    return (cam - low) / (high - low) if high > low else torch.zeros_like(cam)
