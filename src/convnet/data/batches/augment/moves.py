"""Geometric changes of a batch: what moves an image also moves its mask or target image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Pick:
    """Output row i and column j are row `rows[i]` and column `columns[j]` of the input.

    Attributes:
        rows: N×I.
        columns: N×J.
        inside: Which positions lie within the image; None to use all, with a mirrored border.
    """

    rows: Int[Tensor, "N I"]
    columns: Int[Tensor, "N J"]
    inside: Bool[Tensor, "N I J"] | None

    def maps(self, maps: Tensor, outside: int, *, interpolate: bool) -> Tensor:
        """Pick positions; nothing is interpolated."""
        n, width = len(maps), maps.shape[-1]
        places = (self.rows[:, :, None] * width + self.columns[:, None, :]).view(n, 1, -1)
        flat = maps.reshape(n, -1, maps.shape[-2] * width)
        picked = flat.gather(2, places.expand(-1, flat.shape[1], -1))
        picked = picked.view(*maps.shape[:-2], self.rows.shape[1], self.columns.shape[1])
        if self.inside is None:
            return picked
        inside = self.inside.view(n, *[1] * (maps.dim() - 3), *picked.shape[-2:])
        return torch.where(inside, picked, outside)


@dataclass(frozen=True)
class Turn:
    """Rotation of each sample by a multiple of 90°; `turns` has the multiples 0…3."""

    turns: Int[Tensor, " N"]

    def maps(self, maps: Tensor, outside: int, *, interpolate: bool) -> Tensor:
        """Rotate; nothing is outside, nothing interpolated."""
        rotated = maps.clone()
        for k in (1, 2, 3) if maps.shape[-1] == maps.shape[-2] else (2,):
            rotated[self.turns == k] = torch.rot90(maps[self.turns == k], k, (-2, -1))
        return rotated


@dataclass(frozen=True)
class Resample:
    """Values at the points of a sampling grid, x and y in −1…1; the outside is mirrored.

    Attributes:
        grid: N×H×W×2.
        mode: How images are interpolated. Bilinear crops are blurred, bicubic ones take three times as long.
    """

    grid: Float[Tensor, "N H W 2"]
    mode: Literal["bilinear", "bicubic"] = "bilinear"

    def maps(self, maps: Tensor, outside: int, *, interpolate: bool) -> Tensor:
        """Interpolate, or take the nearest value of maps N×H×W."""
        if interpolate:
            found = F.grid_sample(
                maps.float(), self.grid, mode=self.mode, padding_mode="reflection", align_corners=False
            )
            return found.clamp(maps.amin(), maps.amax()) if self.mode == "bicubic" else found
        nearest = F.grid_sample(
            maps[:, None].float(), self.grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        return nearest[:, 0].to(maps.dtype)
