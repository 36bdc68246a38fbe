"""A second image for each of a batch: mixup, CutMix."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convnet.data.augmentation.rectangles import box
from convnet.types import Batch


def mixed(batch: Batch, mixup: float, cutmix: float, generator: torch.Generator) -> Batch:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); with both on, either at even odds."""
    coin = torch.rand((), device=generator.device, generator=generator).item() < 0.5
    use_cutmix = cutmix > 0 and (mixup == 0 or coin)
    mix = _beta(cutmix if use_cutmix else mixup, generator)
    order: Int[Tensor, N] = torch.randperm(len(batch), device=generator.device, generator=generator)
    images: Float[Tensor, "N C H W"]
    if use_cutmix:
        height, width = batch.images.shape[-2:]
        sides = round(height * math.sqrt(1 - mix)), round(width * math.sqrt(1 - mix))
        hole = box(1, batch.images.shape, sides, generator)
        images = torch.where(hole, batch.images[order], batch.images)
        mix = 1 - hole.float().mean().item()
    else:
        images = batch.images.float().lerp(batch.images[order].float(), 1 - mix)
    return Batch(images, batch.targets, batch.indices, mixed_targets=batch.targets[order], mix=mix)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """One draw of Beta(α, α), as the ratio of two Gamma(α) draws."""
    draws = torch._standard_gamma(torch.full((2,), alpha, device=generator.device), generator=generator)
    first, second = draws.tolist()
    return float(first / (first + second)) if first + second else 0.5
