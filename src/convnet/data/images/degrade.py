"""Degradations of images: noise, blur, holes, loss of color, loss of resolution.

Every degradation takes pixels N×C×H×W, 0…255, and a generator, and returns integer values 0…255.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from convnet.device import derived_seed
from convnet.types import Batch

Degrade = Callable[[Tensor, torch.Generator], Tensor]
Noise = Literal["gaussian", "salt-and-pepper"]

HOLE = 255
"""The value of missing pixels: white, as transparent pixels become."""
LUMINANCE = (0.299, 0.587, 0.114)


def degraded(batch: Batch, degrade: Degrade, seed: int | None) -> Tensor:
    """Degrade the images of a batch; without a seed every sample has its own fixed random draws."""
    clean = batch.images.float()
    if seed is not None:
        return degrade(clean, torch.Generator(clean.device).manual_seed(seed))
    parts = []
    for image, index in zip(clean, batch.indices.tolist(), strict=True):
        generator = torch.Generator(clean.device).manual_seed(derived_seed(0, "pair", index))
        parts.append(degrade(image[None], generator))
    return torch.cat(parts)


def noisy(kind: Noise, sigma: float, share: float) -> Degrade:
    """Gaussian noise of standard deviation `sigma`, or a fraction `share` of pixels black or white."""

    def gaussian(clean: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(clean.shape, device=clean.device, generator=generator)
        return (clean + sigma * noise).round().clamp(0, 255)

    def salt_and_pepper(clean: Tensor, generator: torch.Generator) -> Tensor:
        shape = (len(clean), 1, *clean.shape[2:])
        draw = torch.rand(shape, device=clean.device, generator=generator)
        return torch.where(draw < share, torch.where(draw < share / 2, 0.0, 255.0), clean)

    return gaussian if kind == "gaussian" else salt_and_pepper


def blurred(sigma: float) -> Degrade:
    """Gaussian blur of standard deviation `sigma` pixels; the border is mirrored."""

    def blur(clean: Tensor, _generator: torch.Generator) -> Tensor:
        return gaussian_blur(clean, sigma).round().clamp(0, 255)

    return blur


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur each channel of N×C×H×W; the window extends to four standard deviations."""
    reach = max(1, round(4 * sigma))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    window = (-(places**2) / (2 * sigma**2)).exp()
    window = window / window.sum()
    channels = images.shape[1]
    for side, shape in ((-2, (1, 1, -1, 1)), (-1, (1, 1, 1, -1))):
        length = images.shape[side]
        period = max(1, 2 * (length - 1))
        at = torch.arange(-reach, length + reach, device=images.device) % period
        padded = images.index_select(images.dim() + side, torch.minimum(at, period - at).clamp(0, length - 1))
        images = F.conv2d(padded, window.view(shape).expand(channels, -1, -1, -1), groups=channels)
    return images


def holed(holes: int, side: float) -> Degrade:
    """White rectangles: their number, and their largest side as a fraction of the image's."""

    def cut(clean: Tensor, generator: torch.Generator) -> Tensor:
        n, _, height, width = clean.shape
        out = clean.clone()
        draws = torch.rand(n, holes, 4, device=clean.device, generator=generator).tolist()
        for image, rectangles in zip(out, draws, strict=True):
            for top, left, tall, wide in rectangles:
                rows, columns = (
                    max(1, round(s * side * (0.5 + d / 2))) for s, d in ((height, tall), (width, wide))
                )
                y, x = int(top * (height - rows + 1)), int(left * (width - columns + 1))
                image[:, y : y + rows, x : x + columns] = HOLE
        return out

    return cut


def gray(clean: Tensor, _generator: torch.Generator | None = None) -> Tensor:
    """Three equal channels of luminance (Rec. 601)."""
    weights = clean.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    return (clean * weights).sum(1, keepdim=True).round().clamp(0, 255).expand_as(clean)


def small(factor: int) -> Degrade:
    """The input of super-resolution: reduced to 1/factor of the resolution and enlarged again."""

    def reduce(clean: Tensor, _generator: torch.Generator) -> Tensor:
        height, width = clean.shape[-2:]
        size = (max(1, height // factor), max(1, width // factor))
        little = F.interpolate(clean, size, mode="bicubic", antialias=True, align_corners=False)
        return enlarged(little.round().clamp(0, 255), (height, width))

    return reduce


def enlarged(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic interpolation to a larger size, rounded."""
    return F.interpolate(images, size, mode="bicubic", align_corners=False).round().clamp(0, 255)
