"""Random augmentation of training images, on the device, for a whole batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from torch import Tensor

from convnet.data.batches.augment.color import brighter, contrasted, hue_turned, saturated
from convnet.data.batches.augment.moves import Pick, Resample, Turn
from convnet.data.batches.augment.policies import Policy, apply_policy
from convnet.data.batches.augment.warp import box, cut_out, erased, sampling_grid
from convnet.errors import ConvnetError, RecipeError, in_one_line
from convnet.registry import Count, CountOrZero, Fraction, NonNegative, Probability, Registry, Section
from convnet.targets import CLASS_INDEX, Move, Target
from convnet.types import Batch

WARPS = ("rotate", "translate", "scale", "shear", "elastic")
JITTERS = {"brightness": brighter, "contrast": contrasted, "saturation": saturated, "hue": hue_turned}


Auto = Literal["auto"]


class Augment(Section):
    """The `augment` section of a recipe: random changes of training images and their masks.

    Everything is off by default. Pixels from outside the image are mirrored, except for `shift`. "auto" is
    replaced by a value that fits the data before training starts.

    Attributes:
        crop: The side of a random crop in pixels. "auto": as large as the images and the network allow.
        crops: The number of crops of each image per epoch.
        flip: Flip left to right with probability ½. "auto": unless the images are gray or small, or a mirror
            changes their classes.
        flip_vertical: Flip top to bottom with probability ½.
        quarter_turns: Rotate by a random multiple of 90°.
        shift: The largest shift in pixels; zeros move in. "auto": 2 for images of up to 32 pixels a side,
            less for the smallest, none for larger ones.
        pad_crop: The largest shift in pixels; the mirrored border moves in.
        random_resized_crop: Crop a random part of at least this fraction of the area (aspect ratio ¾…4⁄3)
            and resize it to the full size. "auto": ½ for images of more than 32 pixels a side; others are
            shifted by 2.
        resized_to: The side in pixels to which `random_resized_crop` resizes instead, by bicubic
            interpolation. Networks that take any size are then trained on smaller images than they are
            evaluated on, so that objects have the same size in both (Touvron et al. 2019). 0: the size of the
            images.
        rotate: The largest rotation in degrees.
        translate: The largest shift as a fraction of the side.
        scale: The largest relative change of size.
        shear: The largest shear in degrees.
        elastic: The standard deviation of smooth displacements in pixels (Ronneberger et al. 2015).
        tone: Compress each channel by up to this fraction towards a random level.
        brightness: The largest relative change of brightness.
        contrast: The largest relative change of contrast.
        saturation: The largest relative change of saturation.
        hue: The largest rotation of the hue, as a fraction of the circle.
        policy: "trivial" (TrivialAugment) or "rand" (RandAugment), with operations drawn per image.
        erase: The probability of filling a rectangle of 2–33% of the area with noise (Zhong et al. 2020).
        cutout: The side in pixels of a square that is filled with the mean of the image.
        mixup: α of the Beta distribution of the mixing weight (per batch).
        cutmix: α of the Beta distribution of the mixing weight (per batch).
        custom: A function of a batch (float images 0…255) that returns a batch, as package.module:function;
            applied before mixup and cutmix.
    """

    crop: CountOrZero | Auto = 0
    crops: Count = 1
    flip: bool | Auto = False
    flip_vertical: bool = False
    quarter_turns: bool = False
    shift: CountOrZero | Auto = 0
    pad_crop: CountOrZero = 0
    random_resized_crop: Annotated[float, Gt(0), Le(1)] | Auto | None = None
    resized_to: CountOrZero = 0
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
    custom: str | None = None

    def settled(self) -> tuple[int, bool, float | None, int]:
        """Crop, flip, the area of random resized crops and shift, none of them "auto"."""
        crop, flip, area, shift = self.crop, self.flip, self.random_resized_crop, self.shift
        assert crop != "auto" and flip != "auto" and area != "auto" and shift != "auto", (
            "settled before training"
        )
        return crop, flip, area, shift

    def words(self) -> list[str]:
        """The options that are on, as text: ["flip", "random_resized_crop 0.5"]."""
        off = Augment()
        return [
            name if value is True else f"{name} {value}"
            for name, value in self
            if value != getattr(off, name)
        ]


AUGMENTATIONS: Registry[Callable[[Batch], Batch], Any] = Registry("augmentation", importable=True)
"""Functions of users."""
PRESETS = {
    "none": Augment(),
    "light": Augment(flip="auto", random_resized_crop="auto", shift="auto"),
    "standard": Augment(flip="auto", random_resized_crop=0.35, brightness=0.2, contrast=0.2),
    "strong": Augment(flip="auto", random_resized_crop=0.25, policy="trivial", erase=0.25),
}
"""Augmentation by a word; "light" is the default for own images."""


def augment_batch(batch: Batch, augment: Augment, seed: int, target: Target = CLASS_INDEX) -> Batch:
    """Augment a batch.

    Args:
        batch: Images B×C×H×W, 0…255.
        augment: The augmentation.
        seed: The seed of all random draws.
        target: The kind of the batch's targets, which follow their images.

    Returns:
        A new batch.
    """
    generator = torch.Generator(batch.images.device).manual_seed(seed)
    _, flip, area, shift = augment.settled()
    resized = area is not None
    if augment.crop or shift or augment.pad_crop or augment.flip_vertical or (augment.flip and not resized):
        batch = _moved(batch, _picked(batch, augment, generator), target)
    if augment.quarter_turns:
        batch = _moved(batch, _turned(batch, generator), target)
    if resized or any(getattr(augment, name) for name in WARPS):
        grid = sampling_grid(
            batch.images,
            area,
            flip,
            {name: getattr(augment, name) for name in WARPS},
            generator,
            augment.resized_to,
        )
        batch = _moved(batch, Resample(grid, "bicubic" if augment.resized_to else "bilinear"), target)
    if augment.tone:
        batch = _tone(batch, augment.tone, generator, colored=target.colored)
    if any(getattr(augment, name) for name in JITTERS):
        batch = _with(batch, _jitter(batch.images, augment, generator))
    if augment.policy != "none":
        batch = _with(batch, apply_policy(batch.images, augment.policy, generator))
    if augment.erase:
        batch = _with(batch, erased(batch.images, augment.erase, generator))
    if augment.cutout:
        batch = _with(batch, cut_out(batch.images, augment.cutout, generator))
    if augment.custom is not None:
        batch = _customized(batch, augment.custom, seed)
    if augment.mixup or augment.cutmix:
        return mixed(batch, augment.mixup, augment.cutmix, generator)
    return batch


def _customized(batch: Batch, name: str, seed: int) -> Batch:
    """Apply a user's function; torch's random numbers in it depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            found = AUGMENTATIONS[name](_with(batch, batch.images.float()))
        except ConvnetError:
            raise
        except Exception as error:  # a user's code may raise anything
            raise RecipeError(
                f"augmentation '{name}' failed: {type(error).__name__}: {in_one_line(error)}"
            ) from error
    if not isinstance(found, Batch) or found.images.shape[:2] != batch.images.shape[:2]:
        made = f"images {tuple(found.images.shape)}" if isinstance(found, Batch) else type(found).__name__
        raise RecipeError(
            f"augmentation '{name}' made {made} of a batch of images {tuple(batch.images.shape)}; return a "
            "Batch with as many images and channels"
        )
    return found


def _with(batch: Batch, images: Tensor, targets: Tensor | None = None) -> Batch:
    return Batch(images, batch.targets if targets is None else targets, batch.indices)


def _moved(batch: Batch, move: Move, target: Target) -> Batch:
    images = move.maps(batch.images, 0, interpolate=True)
    return _with(batch, images, target.move(batch.targets, move))


def _picked(batch: Batch, augment: Augment, generator: torch.Generator) -> Pick:
    """Crop, flip and shift in one gather: every output pixel has a source row and column."""
    crop, flip, area, shift = augment.settled()
    n, _, height, width = batch.images.shape
    device = batch.images.device
    whole = torch.tensor([[height, width]], device=device).expand(n, 2)
    sizes = whole if batch.sizes is None else batch.sizes.to(device)
    reach = max(shift, augment.pad_crop)

    def origin(side: int) -> tuple[Tensor, Tensor]:
        own = sizes[:, side : side + 1]
        places = torch.arange(crop or whole[0, side].item(), device=device).expand(n, -1)
        if crop:
            room = (own - crop + 1).clamp_min(1)
            places = places + (torch.rand((n, 1), device=device, generator=generator) * room).long()
        if reach or not crop:
            places = places + torch.randint(-reach, reach + 1, (n, 1), device=device, generator=generator)
        inside = (places >= 0) & (places < own)
        mirrored = (own - 1) - ((own - 1) - places.abs()).abs()
        return mirrored.clamp_min(0).minimum(own - 1), inside

    (rows, row_inside), (columns, column_inside) = origin(0), origin(1)
    if flip and area is None:
        flipped = torch.rand((n, 1), device=device, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
        column_inside = torch.where(flipped, column_inside.flip(1), column_inside)
    if augment.flip_vertical:
        flipped = torch.rand((n, 1), device=device, generator=generator) < 0.5
        rows = torch.where(flipped, rows.flip(1), rows)
        row_inside = torch.where(flipped, row_inside.flip(1), row_inside)
    fills = shift and not augment.pad_crop
    return Pick(rows, columns, row_inside[:, :, None] & column_inside[:, None, :] if fills else None)


def _turned(batch: Batch, generator: torch.Generator) -> Turn:
    """Rotate each image by a random multiple of 90°, or of 180° if it is not square."""
    n, _, height, width = batch.images.shape
    step = 1 if height == width else 2
    return Turn(torch.randint(0, 4 // step, (n,), device=batch.images.device, generator=generator) * step)


def _tone(batch: Batch, strength: float, generator: torch.Generator, *, colored: bool) -> Batch:
    """x → g·x + (1 − g)·u per channel, with a gain g from 1 − strength to 1 and a level u.

    Target images change with their images.

    Levels extend half the range beyond black and white, so that some areas are clipped, as in photos.
    """
    shape = (*batch.images.shape[:2], 1, 1)
    gain = 1 - strength * torch.rand(shape, device=batch.images.device, generator=generator)
    level = (1 - gain) * (2 * torch.rand(shape, device=batch.images.device, generator=generator) - 0.5)
    images = (gain * batch.images + 255 * level).clamp(0, 255)
    return _with(batch, images, (gain * batch.targets + level).clamp(0, 1) if colored else None)


def _jitter(images: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, by random amounts per image."""
    images = images.float()
    for name, change in JITTERS.items():
        reach = getattr(augment, name)
        if reach:
            drawn = 2 * torch.rand(len(images), device=images.device, generator=generator) - 1
            images = change(images, reach * drawn if name == "hue" else 1 + reach * drawn)
    return images


def mixed(batch: Batch, mixup: float, cutmix: float, generator: torch.Generator) -> Batch:
    """Apply mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); with both on, one of them at random."""
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
