"""The random part of what happens to an image, a batch at a time, on the device, training only (M45)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from torch import Tensor

from convnet.data.batches.augment.color import brighter, contrasted, hue_turned, saturated
from convnet.data.batches.augment.policies import Policy, apply_policy
from convnet.data.batches.augment.warp import box, cut_out, erased, resample, sampling_grid
from convnet.registry import Count, CountOrZero, Fraction, NonNegative, Probability, Section
from convnet.types import IGNORED, Batch

WARPS = ("rotate", "translate", "scale", "shear", "elastic")
JITTERS = {"brightness": brighter, "contrast": contrasted, "saturation": saturated, "hue": hue_turned}


class Augment(Section):
    """What may happen to a training image, and alike to its mask; everything off by default.

    `crop`: a random square of n pixels is cut out; `crops` of them from each image make an epoch. `flip`,
    `flip_vertical`: mirrored left to right, top to bottom, with probability ½. `quarter_turns`: turned by a
    random multiple of 90°. `shift`: moved by up to n pixels each way, zeros moving in. `pad_crop`: the same
    with the border mirrored instead of zeros. `random_resized_crop`: a random part of at least this share
    of the area (aspect ratio ¾…4⁄3), stretched to full size.

    `rotate`, `shear`: turned, sheared by up to so many degrees; `translate`: moved by up to that share of a
    side; `scale`: larger or smaller by up to that share. `elastic`: bent by smooth displacements of this
    deviation in pixels (Ronneberger et al. 2015). Where these pull in what lies outside, it is mirrored.

    `tone`: each channel is squeezed, by up to this share of its range, towards a random level: darker,
    brighter, paler, of other colours. `brightness`, `contrast`, `saturation`: a factor of 1 ± up to that
    much; `hue`: turned by up to that share of the circle. `policy`: operations that each image draws for
    itself, by TrivialAugment or RandAugment. `erase`: with this probability a rectangle of 2–33% of the area
    is filled with noise (Zhong et al. 2020). `cutout`: a square of n pixels filled with the mean of the
    image. `mixup`, `cutmix`: α of the Beta distribution from which the share of a second image is drawn, for
    a batch at a time.
    """

    crop: CountOrZero = 0
    crops: Count = 1
    flip: bool = False
    flip_vertical: bool = False
    quarter_turns: bool = False
    shift: CountOrZero = 0
    pad_crop: CountOrZero = 0
    random_resized_crop: Annotated[float, Gt(0), Le(1)] | None = None
    rotate: Annotated[float, Ge(0), Le(180)] = 0.0
    translate: Fraction = 0.0
    scale: Fraction = 0.0
    shear: Annotated[float, Ge(0), Le(60)] = 0.0
    elastic: NonNegative = 0.0
    tone: Fraction = 0.0
    brightness: Probability = 0.0
    contrast: Probability = 0.0
    saturation: Probability = 0.0
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.0
    policy: Policy = "none"
    erase: Probability = 0.0
    cutout: CountOrZero = 0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0


def augment_batch(batch: Batch, augment: Augment, seed: int) -> Batch:
    """A new batch, every draw a function of `seed`: images B×C×H×W 0…255 in, the same out.

    Targets that are masks or images are moved with their images.
    """
    generator = torch.Generator(batch.images.device).manual_seed(seed)
    resized = augment.random_resized_crop is not None
    if (
        augment.crop
        or augment.shift
        or augment.pad_crop
        or augment.flip_vertical
        or (augment.flip and not resized)
    ):
        batch = _move(batch, augment, generator)
    if augment.quarter_turns:
        batch = _turn(batch, generator)
    if resized or any(getattr(augment, name) for name in WARPS):
        grid = sampling_grid(
            batch.images,
            augment.random_resized_crop,
            augment.flip,
            {name: getattr(augment, name) for name in WARPS},
            generator,
        )
        batch = _with(batch, *(resample(x, grid) for x in _maps(batch)))
    if augment.tone:
        batch = _tone(batch, augment.tone, generator)
    if any(getattr(augment, name) for name in JITTERS):
        batch = _with(batch, _jitter(batch.images, augment, generator), *_maps(batch)[1:])
    if augment.policy != "none":
        batch = _with(batch, apply_policy(batch.images, augment.policy, generator))
    if augment.erase:
        batch = _with(batch, erased(batch.images, augment.erase, generator))
    if augment.cutout:
        batch = _with(batch, cut_out(batch.images, augment.cutout, generator), *_maps(batch)[1:])
    if augment.mixup or augment.cutmix:
        return mixed(batch, augment.mixup, augment.cutmix, generator)
    return batch


def _maps(batch: Batch) -> list[Tensor]:
    """What has a height and a width: the images, and targets that have them too."""
    return [batch.images, batch.targets] if batch.targets.dim() > 2 else [batch.images]


def _with(batch: Batch, images: Tensor, targets: Tensor | None = None) -> Batch:
    return Batch(images, batch.targets if targets is None else targets, batch.indices)


def _move(batch: Batch, augment: Augment, generator: torch.Generator) -> Batch:
    """Crop, flip and shift in one gather: every output pixel looks up its row and column of origin."""
    n, _, height, width = batch.images.shape
    device = batch.images.device
    whole = torch.tensor([[height, width]], device=device).expand(n, 2)
    sizes = whole if batch.sizes is None else batch.sizes.to(device)
    reach = max(augment.shift, augment.pad_crop)

    def origin(side: int) -> tuple[Tensor, Tensor]:
        own = sizes[:, side : side + 1]
        places = torch.arange(augment.crop or whole[0, side].item(), device=device).expand(n, -1)
        if augment.crop:
            room = (own - augment.crop + 1).clamp_min(1)
            places = places + (torch.rand((n, 1), device=device, generator=generator) * room).long()
        if reach or not augment.crop:
            places = places + torch.randint(-reach, reach + 1, (n, 1), device=device, generator=generator)
        inside = (places >= 0) & (places < own)
        mirrored = (own - 1) - ((own - 1) - places.abs()).abs()
        return mirrored.clamp_min(0).minimum(own - 1), inside

    (rows, row_inside), (columns, column_inside) = origin(0), origin(1)
    if augment.flip and augment.random_resized_crop is None:
        flipped = torch.rand((n, 1), device=device, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
        column_inside = torch.where(flipped, column_inside.flip(1), column_inside)
    if augment.flip_vertical:
        flipped = torch.rand((n, 1), device=device, generator=generator) < 0.5
        rows = torch.where(flipped, rows.flip(1), rows)
        row_inside = torch.where(flipped, row_inside.flip(1), row_inside)
    moved = [_gather(x, rows, columns) for x in _maps(batch)]
    if augment.shift and not augment.pad_crop:
        inside = row_inside[:, :, None] & column_inside[:, None, :]
        blank = [0, IGNORED if batch.targets.dim() == 3 else 0]
        moved = [
            torch.where(inside if x.dim() == 3 else inside[:, None], x, value)
            for x, value in zip(moved, blank, strict=False)
        ]
    return _with(batch, *moved)


def _tone(batch: Batch, strength: float, generator: torch.Generator) -> Batch:
    """x → g·x + (1 − g)·u of every channel, with g from 1 − strength to 1 and a level u; of a pair alike.

    Levels reach half the range beyond black and white, so that there are places where a channel has no
    light, or too much, as photos have.
    """
    shape = (*batch.images.shape[:2], 1, 1)
    gain = 1 - strength * torch.rand(shape, device=batch.images.device, generator=generator)
    level = (1 - gain) * (2 * torch.rand(shape, device=batch.images.device, generator=generator) - 0.5)
    images = (gain * batch.images + 255 * level).clamp(0, 255)
    if batch.targets.dim() != 4:
        return _with(batch, images, *_maps(batch)[1:])
    return _with(batch, images, (gain * batch.targets + level).clamp(0, 1))


def _jitter(images: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order, each image by its own amounts."""
    images = images.float()
    for name, change in JITTERS.items():
        reach = getattr(augment, name)
        if reach:
            drawn = 2 * torch.rand(len(images), device=images.device, generator=generator) - 1
            images = change(images, reach * drawn if name == "hue" else 1 + reach * drawn)
    return images


def _gather(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """N×…×H×W at N×I rows and N×J columns → N×…×I×J."""
    n, width = len(x), x.shape[-1]
    places = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    flat = x.reshape(n, -1, x.shape[-2] * width)
    picked = flat.gather(2, places.expand(-1, flat.shape[1], -1))
    return picked.view(*x.shape[:-2], rows.shape[1], columns.shape[1])


def _turn(batch: Batch, generator: torch.Generator) -> Batch:
    """Each image by a multiple of 90° of its own; half turns where it is no square."""
    n, _, height, width = batch.images.shape
    step = 1 if height == width else 2
    turns = torch.randint(0, 4 // step, (n,), device=batch.images.device, generator=generator) * step
    maps = [x.clone() for x in _maps(batch)]
    for k in range(step, 4, step):
        for x in maps:
            x[turns == k] = torch.rot90(x[turns == k], k, (-2, -1))
    return _with(batch, *maps)


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
