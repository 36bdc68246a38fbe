"""Geometric deformations of images and masks by one sampling grid."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

COARSE = 3
"""The points per side on which displacements are drawn, before interpolation (Ronneberger et al. 2015)."""


def sampling_grid(
    images: Tensor,
    smallest: float | None,
    flip: bool,
    warps: Mapping[str, float],
    generator: torch.Generator,
    side: int = 0,
) -> Float[Tensor, "N H W 2"]:
    """A random sampling grid for `grid_sample`, x and y in −1…1.

    Args:
        images: The images.
        smallest: The smallest area of a random crop as a fraction; None for no crop.
        flip: Whether to flip with probability ½; applies with a crop.
        warps: The strength of rotate and shear (degrees), translate and scale (fractions), elastic (pixels).
        generator: The source of random draws.
        side: The height and width of the result; 0 for those of the images.
    """
    rotate, shear, elastic = warps["rotate"], warps["shear"], warps["elastic"]
    translate, scale = warps["translate"], warps["scale"]
    n, _, height, width = images.shape
    theta = torch.eye(2, 3, device=images.device).repeat(n, 1, 1)
    if smallest is not None:
        theta = _rectangles(n, smallest, flip, generator)
    if rotate:
        angle = _uniform(n, -rotate, rotate, generator).deg2rad()
        cos, sin, ratio = angle.cos(), angle.sin(), height / width
        turn = torch.stack([cos, -sin * ratio, sin / ratio, cos], 1).view(n, 2, 2)
        theta = torch.cat([turn @ theta[:, :, :2], theta[:, :, 2:]], 2)
    if shear:
        slant = _uniform(n, -shear, shear, generator).deg2rad().tan()
        along = torch.eye(2, device=images.device).repeat(n, 1, 1)
        along[:, 0, 1] = slant * height / width
        theta = torch.cat([along @ theta[:, :, :2], theta[:, :, 2:]], 2)
    if scale:
        smaller = 1 / _uniform(n, 1 - scale, 1 + scale, generator).view(n, 1, 1)
        theta = torch.cat([theta[:, :, :2] * smaller, theta[:, :, 2:]], 2)
    if translate:
        moved = torch.stack([_uniform(n, -2 * translate, 2 * translate, generator) for _ in range(2)], 1)
        theta = theta + F.pad(moved[:, :, None], (2, 0))
    grid = F.affine_grid(theta, [n, 1, side or height, side or width], align_corners=False)
    if elastic:
        coarse = torch.randn(n, 2, COARSE, COARSE, device=images.device, generator=generator) * elastic
        fine = F.interpolate(coarse, grid.shape[1:3], mode="bicubic", align_corners=True)
        grid = grid + fine.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height], device=images.device)
    return grid


def _rectangles(n: int, smallest: float, flip: bool, generator: torch.Generator) -> Float[Tensor, "N 2 3"]:
    """Affine maps onto random rectangles within the image."""
    area = _uniform(n, smallest, 1.0, generator)
    ratio = _uniform(n, math.log(3 / 4), math.log(4 / 3), generator).exp()
    scale_x, scale_y = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    center_x = _uniform(n, -1.0, 1.0, generator) * (1 - scale_x)
    center_y = _uniform(n, -1.0, 1.0, generator) * (1 - scale_y)
    if flip:
        mirrored = torch.rand(n, device=generator.device, generator=generator) < 0.5
        scale_x = torch.where(mirrored, scale_x, -scale_x)
    zero = torch.zeros_like(scale_x)
    return torch.stack([scale_x, zero, center_x, zero, scale_y, center_y], 1).view(n, 2, 3)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, device=generator.device, generator=generator) * (high - low) + low


def erased(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Fill a rectangle of noise, of aspect ratio 0.3…3.3, into a fraction `share` of the images."""
    n, _, height, width = images.shape
    device = images.device

    def draw() -> Tensor:
        return torch.rand((n, 1, 1), device=device, generator=generator)

    area, ratio = 0.02 + 0.31 * draw(), (math.log(0.3) + draw() * math.log(11)).exp()
    rows, columns = (height * (area * ratio).sqrt()).clamp_max(height), width * (area / ratio).sqrt()
    columns = columns.clamp_max(width)
    top, left = draw() * (height - rows), draw() * (width - columns)
    y = torch.arange(height, device=device).view(1, -1, 1) + 0.5
    x = torch.arange(width, device=device).view(1, 1, -1) + 0.5
    inside = (y > top) & (y < top + rows) & (x > left) & (x < left + columns) & (draw() < share)
    noise = torch.randint(0, 256, images.shape, device=device, generator=generator).to(images.dtype)
    return torch.where(inside[:, None], noise, images)


def box(n: int, shape: torch.Size, sides: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A boolean mask N×1×H×W of one rectangle per image, with its center anywhere in the image."""
    height, width = shape[-2:]
    device = generator.device
    y = torch.randint(0, height, (n, 1), device=device, generator=generator)
    x = torch.randint(0, width, (n, 1), device=device, generator=generator)
    top, left = y - sides[0] // 2, x - sides[1] // 2
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (rows >= top) & (rows < top + sides[0])
    in_columns = (columns >= left) & (columns < left + sides[1])
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def cut_out(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Fill a square of each image with the mean of the image (DeVries and Taylor 2017)."""
    hole = box(len(images), images.shape, (side, side), generator)
    mean = images.float().mean((2, 3), keepdim=True).to(images.dtype)
    return torch.where(hole, mean, images)
