"""Rectangles in images that are filled: with noise, with a mean, or, by mixing, with another image."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def erased(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Some images with a rectangle of noise; its aspect ratio is 0.3…3.3."""
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


def cut_out(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of each image filled with its mean (DeVries & Taylor 2017)."""
    hole = box(len(images), images.shape, (side, side), generator)
    mean = images.float().mean((2, 3), keepdim=True).to(images.dtype)
    return torch.where(hole, mean, images)
