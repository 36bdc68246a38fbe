"""The random part of what happens to an image, a batch at a time, on the device, training only (M45)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Gt, Le
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from convnet.schema import CountOrZero, NonNegative, Section
from convnet.types import Batch


class Augment(Section):
    """What may happen to a training image; everything off by default.

    `flip`: mirrored left to right with probability ½. `shift`: moved by up to n pixels each way, zeros
    moving in. `pad_crop`: the same with the border mirrored instead of zeros. `random_resized_crop`: a
    random part of at least this share of the area (aspect ratio ¾…4⁄3), stretched to full size.
    `cutout`: a square of n pixels filled with the mean of the image. `mixup`, `cutmix`: α of the Beta
    distribution from which the share of a second image is drawn, for a batch at a time.
    """

    flip: bool = False
    shift: CountOrZero = 0
    pad_crop: CountOrZero = 0
    random_resized_crop: Annotated[float, Gt(0), Le(1)] | None = None
    cutout: CountOrZero = 0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0


def augment_batch(batch: Batch, augment: Augment, seed: int) -> Batch:
    """A new batch, every draw a function of `seed`: images B×C×H×W 0…255 in, the same out."""
    images = batch.images
    generator = torch.Generator(images.device).manual_seed(seed)
    if augment.random_resized_crop is not None:
        images = _resized_crop(images, augment.random_resized_crop, augment.flip, generator)
    elif augment.flip or augment.shift or augment.pad_crop:
        images = _translate(images, augment, generator)
    if augment.cutout:
        images = _cutout(images, augment.cutout, generator)
    batch = Batch(images, batch.targets, batch.indices)
    if augment.mixup or augment.cutmix:
        return _mix(batch, augment, generator)
    return batch


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, device=generator.device, generator=generator) * (high - low) + low


def _translate(images: UInt8[Tensor, "N C H W"], augment: Augment, generator: torch.Generator) -> Tensor:
    """Flip and shift in one gather: every output pixel looks up its row and column of origin."""
    n, channels, height, width = images.shape
    reach = max(augment.shift, augment.pad_crop)

    def origin(size: int) -> tuple[Tensor, Tensor]:
        offsets = torch.randint(-reach, reach + 1, (n, 1), device=images.device, generator=generator)
        places = torch.arange(size, device=images.device) + offsets
        inside = (places >= 0) & (places < size)
        mirrored = (size - 1) - ((size - 1) - places.abs()).abs()
        return mirrored.clamp(0, size - 1), inside

    rows, row_inside = origin(height)
    columns, column_inside = origin(width)
    if augment.flip:
        flipped = torch.rand((n, 1), device=images.device, generator=generator) < 0.5
        columns = torch.where(flipped, (width - 1) - columns, columns)
    places = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1).expand(-1, channels, -1)
    moved = images.reshape(n, channels, -1).gather(2, places).view(images.shape)
    if augment.shift and not augment.pad_crop:
        moved = moved * (row_inside[:, :, None] & column_inside[:, None, :])[:, None]
    return moved


def _resized_crop(images: Tensor, smallest: float, flip: bool, generator: torch.Generator) -> Tensor:
    """A random rectangle of each image, resampled bilinearly to the full size."""
    n, _, height, width = images.shape
    area = _uniform(n, smallest, 1.0, generator)
    ratio = _uniform(n, math.log(3 / 4), math.log(4 / 3), generator).exp()
    scale_x, scale_y = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    centre_x = _uniform(n, -1.0, 1.0, generator) * (1 - scale_x)
    centre_y = _uniform(n, -1.0, 1.0, generator) * (1 - scale_y)
    if flip:
        scale_x = scale_x * (torch.rand(n, device=images.device, generator=generator) < 0.5).float().mul(
            2
        ).sub(1)
    zero = torch.zeros_like(scale_x)
    theta = torch.stack([scale_x, zero, centre_x, zero, scale_y, centre_y], 1).view(n, 2, 3)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)


def _box(n: int, shape: torch.Size, sides: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A boolean N×1×H×W mask of one rectangle (height, width) per image, its centre anywhere in it."""
    height, width = shape[-2:]
    device = generator.device
    y = torch.randint(0, height, (n, 1), device=device, generator=generator)
    x = torch.randint(0, width, (n, 1), device=device, generator=generator)
    top, left = y - sides[0] // 2, x - sides[1] // 2
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (rows >= top) & (rows < top + sides[0])
    in_columns = (columns >= left) & (columns < left + sides[1])
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def _cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    hole = _box(len(images), images.shape, (side, side), generator)
    mean = images.float().mean((2, 3), keepdim=True).to(images.dtype)
    return torch.where(hole, mean, images)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """One draw of Beta(α, α), as the ratio of two Gamma(α) draws."""
    draws = torch._standard_gamma(torch.full((2,), alpha, device=generator.device), generator=generator)
    first, second = draws.tolist()
    return float(first / (first + second)) if first + second else 0.5


def _mix(batch: Batch, augment: Augment, generator: torch.Generator) -> Batch:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); with both on, either at even odds."""
    coin = torch.rand((), device=generator.device, generator=generator).item() < 0.5
    use_cutmix = augment.cutmix > 0 and (augment.mixup == 0 or coin)
    mix = _beta(augment.cutmix if use_cutmix else augment.mixup, generator)
    order: Int[Tensor, N] = torch.randperm(len(batch), device=generator.device, generator=generator)
    images: Float[Tensor, "N C H W"]
    if use_cutmix:
        height, width = batch.images.shape[-2:]
        sides = round(height * math.sqrt(1 - mix)), round(width * math.sqrt(1 - mix))
        box = _box(1, batch.images.shape, sides, generator)
        images = torch.where(box, batch.images[order], batch.images)
        mix = 1 - box.float().mean().item()
    else:
        images = batch.images.float().lerp(batch.images[order].float(), 1 - mix)
    return Batch(images, batch.targets, batch.indices, batch.targets[order], mix)
