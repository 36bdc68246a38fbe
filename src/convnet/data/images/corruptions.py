"""Corruptions of images at five strengths, in the manner of Hendrycks and Dietterich (2019).

Noise, blur, JPEG compression, shift, rotation and brightness. The parameters are our own; lengths are
relative to the side of the image, so that they apply to images of 28 and of 288 pixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from convnet.data.images.degrade import Degrade, blurred, noisy

STRENGTHS = 5


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption.

    Attributes:
        parameter: What its values are, with the unit.
        values: One value per strength, from weak to strong.
        make: Turns a value and the smaller side of the image into a function of pixels N×C×H×W, 0…255.
    """

    parameter: str
    values: tuple[float, ...]
    make: Callable[[float, int], Degrade]


def _jpeg(quality: float, _side: int) -> Degrade:
    """Compression; images of one or three channels."""

    def compress(clean: Tensor, _generator: torch.Generator) -> Tensor:
        found = []
        for image in clean.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy():
            buffer = io.BytesIO()
            gray = image.shape[2] == 1
            Image.fromarray(image[:, :, 0] if gray else image).save(buffer, "JPEG", quality=int(quality))
            with Image.open(buffer) as coded:
                pixels = np.asarray(coded)
            found.append(pixels[None] if gray else pixels.transpose(2, 0, 1))
        return torch.from_numpy(np.stack(found)).to(clean)

    return compress


def _moved(matrix: Callable[[Tensor], Tensor]) -> Degrade:
    """An affine motion, with its direction or sign drawn for each image; the border is repeated."""

    def move(clean: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.rand(len(clean), generator=generator)
        motion = matrix(draws).to(clean)
        height, width = clean.shape[2:]  # coordinates are relative to each side
        motion[:, 0, 1] *= height / width
        motion[:, 1, 0] *= width / height
        grid = F.affine_grid(motion, list(clean.shape), align_corners=False)
        moved = F.grid_sample(clean, grid, padding_mode="border", align_corners=False)
        return moved.round().clamp(0, 255)

    return move


def _shift(fraction: float, _side: int) -> Degrade:
    def matrix(draws: Tensor) -> Tensor:
        angle = 2 * math.pi * draws
        found = torch.eye(2, 3).repeat(len(draws), 1, 1)
        found[:, :, 2] = 2 * fraction * torch.stack([angle.cos(), angle.sin()], 1)
        return found

    return _moved(matrix)


def _rotation(degrees: float, _side: int) -> Degrade:
    def matrix(draws: Tensor) -> Tensor:
        angle = math.radians(degrees) * torch.where(draws < 0.5, -1.0, 1.0)
        top = torch.stack([angle.cos(), -angle.sin(), torch.zeros_like(angle)], 1)
        return torch.stack([top, torch.stack([angle.sin(), angle.cos(), torch.zeros_like(angle)], 1)], 1)

    return _moved(matrix)


def _brightness(added: float, _side: int) -> Degrade:
    def brighten(clean: Tensor, generator: torch.Generator) -> Tensor:
        sign = torch.where(torch.rand(len(clean), 1, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
        return (clean + added * sign.to(clean)).clamp(0, 255)

    return brighten


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("σ of 255", (8, 16, 26, 38, 55), lambda sigma, _: noisy("gaussian", sigma, 0.0)),
    "blur": Corruption(
        "σ in % of the side",
        (2.0, 3.0, 4.0, 5.5, 7.5),
        lambda percent, side: blurred(max(0.4, percent * side / 100)),
    ),
    "JPEG": Corruption("quality", (60, 40, 25, 15, 8), _jpeg),
    "shift": Corruption("fraction of the side", (0.03, 0.06, 0.1, 0.15, 0.2), _shift),
    "rotation": Corruption("degrees", (5, 10, 20, 30, 45), _rotation),
    "brightness": Corruption("± of 255", (20, 40, 60, 85, 115), _brightness),
}
"""The corruptions by name."""


def applicable(channels: int) -> list[str]:
    """The corruptions of images with that many channels: JPEG needs one or three."""
    return [name for name in CORRUPTIONS if name != "JPEG" or channels in (1, 3)]


def corrupted(images: Tensor, name: str, strength: int, seed: int) -> Tensor:
    """Corrupt images.

    Args:
        images: N×C×H×W, values 0…255.
        name: A key of `CORRUPTIONS`.
        strength: 1…5.
        seed: Fixes what is random.

    Returns:
        Float N×C×H×W, values 0…255.
    """
    corruption = CORRUPTIONS[name]
    degrade = corruption.make(corruption.values[strength - 1], min(images.shape[2:]))
    return degrade(images.float(), torch.Generator().manual_seed(seed))
