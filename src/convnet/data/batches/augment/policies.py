"""TrivialAugment (Müller and Hutter 2021) and RandAugment (Cubuk et al. 2020), drawn per image.

Images of a batch that drew the same operation are processed together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convnet.data.batches.augment.color import brighter, contrasted, saturated, sharpened

Policy = Literal["none", "trivial", "rand"]
Images = Float[Tensor, "N C H W"]
Amounts = Float[Tensor, " N"]
Operation = Callable[[Images, Amounts, bool], Images]
"""(images, amounts −1…1, whether the wide ranges of TrivialAugment apply) → images."""

LEVELS = 30
RAND_LEVEL, RAND_OPERATIONS = 9, 2
GRAY = 128.0
"""The value of pixels from outside the image."""


def apply_policy(images: Tensor, policy: Policy, generator: torch.Generator) -> Images:
    """Apply a policy to images N×C×H×W, 0…255.

    Args:
        images: The images.
        policy: "trivial": one operation of random strength; "rand": two operations of strength 9 of 30.
        generator: The source of random draws.
    """
    images = images.float()
    n, wide = len(images), policy == "trivial"
    for _ in range(1 if wide else RAND_OPERATIONS):
        drawn = torch.randint(len(OPERATIONS), (n,), device=images.device, generator=generator)
        level = torch.randint(LEVELS + 1, (n,), device=images.device, generator=generator)
        sign = torch.randint(2, (n,), device=images.device, generator=generator) * 2.0 - 1
        amounts = sign * (level if wide else torch.full_like(level, RAND_LEVEL)) / LEVELS
        changed = images.clone()
        for number, operation in enumerate(OPERATIONS):
            chosen = (drawn == number).nonzero()[:, 0]
            if len(chosen):
                changed[chosen] = operation(images[chosen], amounts[chosen], wide)
        images = changed.clamp(0, 255)  # interpolation may overshoot slightly
    return images


def _identity(images: Images, amounts: Amounts, wide: bool) -> Images:
    return images


def _shear_x(images: Images, amounts: Amounts, wide: bool) -> Images:
    return _affine(images, shear_x=amounts * (0.99 if wide else 0.3))


def _shear_y(images: Images, amounts: Amounts, wide: bool) -> Images:
    return _affine(images, shear_y=amounts * (0.99 if wide else 0.3))


def _translate_x(images: Images, amounts: Amounts, wide: bool) -> Images:
    return _affine(images, move_x=2 * amounts * (32 / images.shape[3] if wide else 0.45))


def _translate_y(images: Images, amounts: Amounts, wide: bool) -> Images:
    return _affine(images, move_y=2 * amounts * (32 / images.shape[2] if wide else 0.45))


def _rotate(images: Images, amounts: Amounts, wide: bool) -> Images:
    return _affine(images, angle=(amounts * (135 if wide else 30)).deg2rad())


def _brightness(images: Images, amounts: Amounts, wide: bool) -> Images:
    return brighter(images, 1 + amounts * (0.99 if wide else 0.9))


def _color(images: Images, amounts: Amounts, wide: bool) -> Images:
    return saturated(images, 1 + amounts * (0.99 if wide else 0.9))


def _contrast(images: Images, amounts: Amounts, wide: bool) -> Images:
    return contrasted(images, 1 + amounts * (0.99 if wide else 0.9))


def _sharpness(images: Images, amounts: Amounts, wide: bool) -> Images:
    return sharpened(images, 1 + amounts * (0.99 if wide else 0.9))


def _posterize(images: Images, amounts: Amounts, wide: bool) -> Images:
    """Reduce the number of bits from 8 down to 2 or 4."""
    step = 2 ** (amounts.abs() * (6 if wide else 4)).round().view(-1, 1, 1, 1)
    return (images / step).floor() * step


def _solarize(images: Images, amounts: Amounts, wide: bool) -> Images:
    threshold = 255 * (1 - amounts.abs()).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def _autocontrast(images: Images, amounts: Amounts, wide: bool) -> Images:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low) * (255 / (high - low).clamp_min(1))
    return torch.where(high > low, stretched, images)


def _equalize(images: Images, amounts: Amounts, wide: bool) -> Images:
    """Spread the values of each channel over 0…255 by rank."""
    planes = images.flatten(2).round().long().clamp(0, 255).flatten(0, 1)
    counts = torch.zeros(len(planes), 256, device=images.device)
    counts.scatter_add_(1, planes, torch.ones_like(planes, dtype=counts.dtype))
    below = counts.cumsum(1) - counts / 2
    return (255 * below / planes.shape[1]).gather(1, planes).view_as(images)


def _affine(
    images: Images,
    *,
    shear_x: Amounts | float = 0.0,
    shear_y: Amounts | float = 0.0,
    move_x: Amounts | float = 0.0,
    move_y: Amounts | float = 0.0,
    angle: Amounts | None = None,
) -> Images:
    n, _, height, width = images.shape
    theta = torch.eye(2, 3, device=images.device).repeat(n, 1, 1)
    theta[:, 0, 1], theta[:, 1, 0] = shear_x, shear_y
    theta[:, 0, 2], theta[:, 1, 2] = move_x, move_y
    if angle is not None:
        ratio = height / width
        theta[:, 0, 0] = theta[:, 1, 1] = angle.cos()
        theta[:, 0, 1], theta[:, 1, 0] = -angle.sin() * ratio, angle.sin() / ratio
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    return F.grid_sample(images - GRAY, grid, align_corners=False) + GRAY


OPERATIONS: tuple[Operation, ...] = (
    _identity, _shear_x, _shear_y, _translate_x, _translate_y, _rotate, _brightness, _color, _contrast,
    _sharpness, _posterize, _solarize, _autocontrast, _equalize,
)  # fmt: skip
