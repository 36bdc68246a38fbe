"""Brightness, contrast, saturation, sharpness and hue, with amounts per image; values 0…255."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convnet.data.images.pixels import LUMA

Images = Float[Tensor, "N C H W"]
Amounts = Float[Tensor, " N"]


def brighter(images: Images, factor: Amounts) -> Images:
    """Multiply all values by the factor."""
    return (images * _each(factor)).clamp(0, 255)


def contrasted(images: Images, factor: Amounts) -> Images:
    """Multiply differences from the mean gray of the image by the factor."""
    mean = luma(images).mean((1, 2, 3), keepdim=True)
    return _blend(mean, images, factor)


def saturated(images: Images, factor: Amounts) -> Images:
    """Multiply differences from the gray of each pixel by the factor."""
    return _blend(luma(images), images, factor)


def sharpened(images: Images, factor: Amounts) -> Images:
    """Multiply differences from the smoothed image by the factor; above 1 sharpens."""
    channels = images.shape[1]
    kernel = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], device=images.device) / 13
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
    return _blend(smooth, images, factor)


def hue_turned(images: Images, turn: Amounts) -> Images:
    """Rotate colors around the gray axis of YIQ by a fraction of the circle; luma is kept."""
    angle = 2 * torch.pi * turn
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    to_yiq = images.new_tensor(
        [LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)]
    ).expand(len(images), 3, 3)
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    rows = [torch.cat(row, 2) for row in ([one, zero, zero], [zero, cos, -sin], [zero, sin, cos])]
    matrix = torch.linalg.inv(to_yiq) @ torch.cat(rows, 1) @ to_yiq
    return torch.einsum("nij,njhw->nihw", matrix, images).clamp(0, 255)


def luma(images: Images) -> Float[Tensor, "N 1 H W"]:
    """The gray of each pixel; the mean of the channels unless there are three."""
    if images.shape[1] != len(LUMA):
        return images.mean(1, keepdim=True)
    weights = images.new_tensor(LUMA).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def _each(factor: Amounts) -> Float[Tensor, "N 1 1 1"]:
    return factor.view(-1, 1, 1, 1)


def _blend(base: Tensor, images: Images, factor: Amounts) -> Images:
    return torch.lerp(base.expand_as(images), images, _each(factor)).clamp(0, 255)
