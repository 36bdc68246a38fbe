"""Histograms of oriented gradients (Dalal and Triggs 2005)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import ModelError
from convnet.features.registry import FEATURES, parts
from convnet.registry import Count, CountOrZero

BlockNorm = Literal["l1", "l1-sqrt", "l2", "l2-hys"]

PIXELS_AT_ONCE = 1 << 20
"""The approximate number of elements processed at once, to bound memory."""
EPSILON = 1e-5
CLIP = 0.2
CELLS = ((64, 8), (24, 4), (0, 2))
"""(smallest side of an image, default side of its cells)."""


class HoG(nn.Module):
    """Histograms of oriented gradients, equal to scikit-image's `hog`.

    The gradient of a pixel (central differences, zero at the border, of the channel with the largest
    gradient) adds its magnitude to one of `orientations` bins over 180°. A cell holds the mean over its
    pixels. Pixels beyond the last whole cell are ignored.

    Args:
        image_size: Height and width.
        orientations: The number of bins.
        cell_size: The side of cells in pixels.
        block: The side of blocks of cells; each block, one at every position, is normalized. 0 for none.
        norm: The normalization of blocks.
    """

    def __init__(
        self, image_size: tuple[int, int], orientations: int, cell_size: int, block: int, norm: BlockNorm
    ) -> None:
        super().__init__()
        self.orientations, self.cell_size, self.block, self.norm = orientations, cell_size, block, norm
        blocks = math.prod(side // cell_size - max(block - 1, 0) for side in image_size)
        self.out_features = blocks * max(block, 1) ** 2 * orientations

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """N×D: blocks by row, each with its cells by row, each with its orientations."""
        x = x if x.is_floating_point() else x.float()
        group = max(1, PIXELS_AT_ONCE // math.prod(x.shape[1:]))
        return torch.cat([self._blocks(self.cells(part)).flatten(1) for part in parts(x, group)])

    def _blocks(self, cells: Tensor) -> Tensor:
        """Normalized blocks of cells, N×I×J×B×B×O; without blocks the cells, N×I×J×O."""
        if not self.block:
            return cells
        windows = cells.unfold(1, self.block, 1).unfold(2, self.block, 1)  # N×I×J×O×B×B
        return _normalize(windows.permute(0, 1, 2, 4, 5, 3).contiguous(), self.norm)

    def cells(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N I J O"]:
        """The histogram of every cell: mean magnitude per orientation."""
        rows, columns, magnitude = _gradient(x)
        height, width = (side // self.cell_size for side in x.shape[2:])
        whole = (slice(None), slice(height * self.cell_size), slice(width * self.cell_size))
        rows, columns = rows[whole], columns[whole]
        # Directions of 180° and more are those of an edge seen from the other side.
        bins = _directions(rows, columns).mul_(self.orientations / math.pi).remainder_(self.orientations)
        places = bins.long().clamp_max_(self.orientations - 1)
        if torch.compiler.is_exporting():  # with a number of images that is not known yet
            first = _first_bins.__wrapped__  # a cached tensor would be one of the tracer
            places = places + first((1, height, width), self.cell_size, self.orientations, x.device)
            sums = x.new_zeros(x.shape[0], height * width * self.orientations)
            sums = sums.scatter_add(1, places.flatten(1), magnitude[whole].flatten(1))
            return sums.view(-1, height, width, self.orientations) / self.cell_size**2
        cells = (len(x), height, width)
        places += _first_bins(cells, self.cell_size, self.orientations, x.device)
        votes = magnitude[whole].flatten()
        sums = votes.new_zeros(*cells, self.orientations)
        sums.view(-1).scatter_add_(0, places.flatten(), votes)
        histograms: Tensor = sums.div_(self.cell_size**2)
        return histograms

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return (
            f"{self.orientations} orientations, {self.cell_size}×{self.cell_size} cells, block {self.block}"
        )


def _gradient(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Central differences down and across, and their magnitude, of the strongest channel: N×H×W each."""
    row, column, strongest = _differences(x[:, 0])
    for channel in x.unbind(1)[1:]:
        other_row, other_column, squares = _differences(channel)
        stronger = (squares > strongest).to(x.dtype)  # 0 or 1: lerp selects, faster than torch.where
        row.lerp_(other_row, stronger)
        column.lerp_(other_column, stronger)
        strongest = torch.maximum(strongest, squares)
    return row, column, strongest.sqrt_()


def _differences(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Vertical and horizontal differences of one channel N×H×W, zero at the border, and their squared sum."""
    if torch.compiler.is_exporting():  # ONNX knows no outputs that are parts of tensors
        row = F.pad(x[:, 2:] - x[:, :-2], (0, 0, 1, 1))
        column = F.pad(x[..., 2:] - x[..., :-2], (1, 1))
        return row, column, row.square() + column.square()
    row, column = torch.zeros(2, *x.shape, dtype=x.dtype, device=x.device)
    torch.sub(x[:, 2:], x[:, :-2], out=row[:, 1:-1])
    torch.sub(x[..., 2:], x[..., :-2], out=column[..., 1:-1])
    return row, column, row.square().addcmul_(column, column)


def _directions(rows: Tensor, columns: Tensor) -> Tensor:
    """The angles of gradients; in exported models up to multiples of 180°, because ONNX has no atan2."""
    if not torch.compiler.is_exporting():
        return torch.atan2(rows, columns)
    steep = columns == 0
    slope = torch.atan(rows / torch.where(steep, 1.0, columns))
    return torch.where(steep, math.pi / 2 * rows.sign(), slope)


@lru_cache(maxsize=8)
def _first_bins(cells: tuple[int, int, int], size: int, orientations: int, device: torch.device) -> Tensor:
    """The first bin of the cell of every pixel, N×H×W, for N×I×J cells."""
    numbers = torch.arange(math.prod(cells), device=device).mul_(orientations).view(cells)
    return numbers.repeat_interleave(size, 1).repeat_interleave(size, 2)


def _normalize(blocks: Tensor, norm: BlockNorm) -> Tensor:
    """Divide each block N×I×J×(B×B×O) by its norm, in place."""
    if norm.startswith("l1"):
        scaled = blocks.div_(blocks.sum((-3, -2, -1), keepdim=True).add_(EPSILON))
        return scaled if norm == "l1" else scaled.sqrt_()
    scaled = blocks.div_(_length(blocks))
    if norm == "l2":
        return scaled
    clipped: Tensor = scaled.clamp_max_(CLIP)
    return clipped.div_(_length(clipped))


def _length(blocks: Tensor) -> Tensor:
    squares: Tensor = torch.linalg.vector_norm(blocks, dim=(-3, -2, -1), keepdim=True).square_()
    return squares.add_(EPSILON**2).sqrt_()


@FEATURES.register("hog")
def hog(
    in_channels: int,
    image_size: tuple[int, int],
    *,
    orientations: Annotated[int, Ge(1), Le(180)] = 9,
    cell_size: Count | None = None,
    block: CountOrZero = 2,
    norm: BlockNorm = "l2-hys",
) -> nn.Module:
    """Histograms of oriented gradients (Dalal and Triggs 2005).

    Args:
        in_channels: Not used.
        image_size: Height and width.
        orientations: The number of bins over 180°.
        cell_size: The side of cells. Default: 8 pixels; 4 for images below 64, 2 below 24.
        block: The side of normalized blocks of cells; 0 for none (30×40×9 = 10,800 numbers for 240×320).
        norm: "l1", "l1-sqrt", "l2" or "l2-hys".
    """
    cell = cell_size or next(cell for side, cell in CELLS if min(image_size) >= side)
    if image_size == (1, 1):
        raise ModelError("hog takes images, not rows of numbers")
    least = max(cell * max(block, 1), 3)
    if min(image_size) < least:
        height, width = image_size
        cells = f"{block}×{block} cells" if block > 1 else "one cell"
        fitting = min(image_size) // max(block, 1)
        smaller = f", or hog(cell_size={fitting})" if fitting and min(image_size) >= 3 else ""
        raise ModelError(
            f"hog needs images of at least {least}×{least} pixels ({cells} of {cell}×{cell}), got "
            f"{height}×{width}; use larger images (--set preprocess.image_size={2 * least}){smaller}"
        )
    return HoG(image_size, orientations, cell, block, norm)
