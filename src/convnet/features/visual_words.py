"""Bags of visual words (M07; Coates, Lee and Ng 2011)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import ModelError
from convnet.features.codebook import Codebook, learn_codebook, normalize_patches
from convnet.features.registry import FEATURES
from convnet.layers import Fitted, Passes
from convnet.registry import Count, CountOrZero

Encoding = Literal["triangle", "hard"]

NUMBERS_AT_ONCE = 1 << 21
"""Distances that are worked on at a time: 8 MiB, which stay in the processor's cache."""


class VisualWords(Fitted):
    """How much of each word of a learnt codebook there is in each part of an image.

    Every patch (`patch_size`², at every `stride` pixels) is normalised, whitened and compared with the words.
    "hard" counts it for the nearest one; "triangle" counts, for every word that is nearer than the words
    are on average, by how much. The counts are averaged over the cells of a `grid`×`grid` raster.
    """

    fitted_state = ("words", "whitening", "center")
    words: Tensor
    whitening: Tensor
    center: Tensor

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        *,
        count: int,
        patch_size: int,
        stride: int,
        encoding: Encoding,
        grid: int,
        patches: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.in_channels, self.image_size = in_channels, image_size
        self.count, self.patch_size, self.stride = count, patch_size, stride
        self.encoding, self.grid, self.patches, self.seed = encoding, grid, patches, seed
        self.out_features = grid**2 * count

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of patches in an image."""
        height, width = ((side - self.patch_size) // self.stride + 1 for side in self.image_size)
        return height, width

    def require_samples(self, train: int, val: int) -> None:
        """There must be a patch for every word."""
        there = train * math.prod(self.positions)
        if min(there, self.patches) < self.count:
            what = (
                f"{there:,} patches in {train:,} images"
                if there < self.patches
                else f"patches={self.patches:,}"
            )
            raise ModelError(
                f"visual-words: a codebook of {self.count:,} words from {what}; "
                f"use fewer words: visual-words(words={max(2, min(there, self.patches) // 10)})"
            )

    @torch.no_grad()
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Learn whitening and words from random patches of the training images."""
        samples = sum(len(x) for x, _ in train())
        generator = torch.Generator().manual_seed(self.seed)
        taken, seen = [], 0
        for x, _ in train():
            count = (seen + len(x)) * self.patches // samples - seen * self.patches // samples
            taken.append(self._random_patches(x, count, generator))
            seen += len(x)
        book = learn_codebook(torch.cat(taken), self.count, self.seed)
        self.words, self.whitening, self.center = book.words, book.whitening, book.center

    def _random_patches(self, x: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """`count` patches from random places of random images: P×(C·p·p)."""
        size = self.patch_size
        windows = x.unfold(2, size, 1).unfold(3, size, 1)  # N×C×I×J×p×p, a view
        sizes = (len(x), windows.shape[2], windows.shape[3])
        image, row, column = (torch.randint(n, (count,), generator=generator).to(x.device) for n in sizes)
        return windows[image, :, row, column].flatten(1)

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """Grid cells, row by row, each with its words: D = grid²·words."""
        self.require_fitted()
        group = max(1, NUMBERS_AT_ONCE // (math.prod(self.positions) * self.count))
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._encode(part) for part in x.float().split(group)])

    def _encode(self, x: Tensor) -> Tensor:
        rows, columns = self.positions
        patches = F.unfold(x, self.patch_size, stride=self.stride).transpose(1, 2)
        white = (normalize_patches(patches) - self.center) @ self.whitening
        # ‖p − w‖² = ‖p‖² − 2 p·w + ‖w‖² as one product, of p with two numbers more.
        ends = white.square().sum(2, keepdim=True), torch.ones_like(white[:, :, :1])
        squares = torch.cat([white, *ends], 2) @ self._dictionary()
        codes = self._codes(squares).view(len(x), rows, columns, self.count).permute(0, 3, 1, 2)
        cells = F.adaptive_avg_pool2d(codes, self.grid)
        return cells.permute(0, 2, 3, 1).flatten(1)

    def _dictionary(self) -> Tensor:
        words = self.words.t()
        return torch.cat([-2 * words, torch.ones_like(words[:1]), words.square().sum(0, keepdim=True)])

    def _codes(self, squares: Tensor) -> Tensor:
        """Squared distances N×P×K → what each patch counts for each word."""
        if self.encoding == "hard":
            return F.one_hot(squares.argmin(2), self.count).to(squares)
        distances = squares.clamp_min_(0).sqrt_()
        return torch.sub(distances.mean(2, keepdim=True), distances, out=distances).relu_()

    def codebook(self) -> Codebook:
        """What was learnt, with the words as patches of pixels: for drawing."""
        self.require_fitted()
        return Codebook(self.words, self.whitening, self.center)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"{self.count} words of {self.patch_size}×{self.patch_size}, {self.encoding}, grid {self.grid}"


@FEATURES.register("visual-words")
def visual_words(
    in_channels: int,
    image_size: tuple[int, int],
    *,
    words: Annotated[int, Ge(2), Le(20_000)] = 400,
    patch_size: Annotated[int, Ge(2), Le(32)] = 6,
    stride: Count = 1,
    encoding: Encoding = "triangle",
    grid: Annotated[int, Ge(1), Le(8)] = 2,
    patches: Count = 100_000,
    seed: CountOrZero | None = None,
) -> nn.Module:
    """Which of `words` typical patches an image is made of (M07).

    The codebook is the k-means of `patches` random patches of the training images. `encoding` is triangle
    (soft) or hard; `grid` of 2 counts by quadrant; `seed` of None is drawn like weights are.
    """
    least = patch_size + (grid - 1) * stride
    if min(image_size) < least:
        height, width = image_size
        raise ModelError(
            f"visual-words needs images of at least {least}×{least} pixels for patches of {patch_size}×"
            f"{patch_size} in a {grid}×{grid} grid, got {height}×{width}; "
            "use larger images, or visual-words(patch_size=3,grid=1)"
        )
    return VisualWords(
        in_channels,
        image_size,
        count=words,
        patch_size=patch_size,
        stride=stride,
        encoding=encoding,
        grid=grid,
        patches=patches,
        seed=int(torch.randint(2**31, ())) if seed is None else seed,
    )
