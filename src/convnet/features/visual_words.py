"""Bags of visual words (Coates, Lee and Ng 2011)."""

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
from convnet.features.registry import FEATURES, parts
from convnet.layers import Fitted, Passes
from convnet.registry import Count, CountOrZero

Encoding = Literal["triangle", "hard"]

NUMBERS_AT_ONCE = 1 << 21
"""The number of distances computed at once: 8 MiB, which fit into the processor's cache."""


class VisualWords(Fitted):
    """Bags of visual words over a fitted codebook.

    Every patch is normalized, whitened and compared with the words. The "hard" encoding counts the nearest
    word; "triangle" gives each word the amount by which it is nearer than the mean distance. Encodings are
    averaged over the cells of a grid.

    Args:
        in_channels: Channels of the images.
        image_size: Height and width.
        count: The number of words.
        patch_size: The side of patches in pixels.
        stride: Pixels between patches.
        encoding: "triangle" or "hard".
        grid: Cells per side.
        patches: The number of random patches that the codebook is fitted to.
        seed: The seed of the patches and of k-means.
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
        """The number of rows and columns of patches in an image."""
        height, width = ((side - self.patch_size) // self.stride + 1 for side in self.image_size)
        return height, width

    def require_samples(self, train: int, val: int) -> None:
        """Check that there are as many patches as words."""
        there = train * math.prod(self.positions)
        if min(there, self.patches) < self.count:
            what = (
                f"{there:,} patches in {train:,} images"
                if there < self.patches
                else f"patches={self.patches:,}"
            )
            raise ModelError(
                f"visual-words: {self.count:,} words are too many for {what}; "
                f"use fewer: visual-words(words={max(2, min(there, self.patches) // 10)})"
            )

    @torch.no_grad()
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Fit whitening and words to random patches of the training images."""
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
        """`count` patches from random positions in random images, P×(C·p·p)."""
        size = self.patch_size
        windows = x.unfold(2, size, 1).unfold(3, size, 1)  # N×C×I×J×p×p, a view
        sizes = (len(x), windows.shape[2], windows.shape[3])
        image, row, column = (torch.randint(n, (count,), generator=generator).to(x.device) for n in sizes)
        return windows[image, :, row, column].flatten(1)

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """N×D with D = grid²·words: grid cells by row, each with its words."""
        self.require_fitted()
        group = max(1, NUMBERS_AT_ONCE // (math.prod(self.positions) * self.count))
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._encode(part) for part in parts(x.float(), group)])

    def _encode(self, x: Tensor) -> Tensor:
        rows, columns = self.positions
        patches = F.unfold(x, self.patch_size, stride=self.stride).transpose(1, 2)
        white = (normalize_patches(patches) - self.center) @ self.whitening
        # ‖p − w‖² = ‖p‖² − 2 p·w + ‖w‖² as one product, with two more elements per patch.
        ends = white.square().sum(2, keepdim=True), torch.ones_like(white[:, :, :1])
        squares = torch.cat([white, *ends], 2) @ self._dictionary()
        codes = self._codes(squares).view(x.shape[0], rows, columns, self.count).permute(0, 3, 1, 2)
        cells = F.adaptive_avg_pool2d(codes, self.grid)
        return cells.permute(0, 2, 3, 1).flatten(1)

    def _dictionary(self) -> Tensor:
        words = self.words.t()
        return torch.cat([-2 * words, torch.ones_like(words[:1]), words.square().sum(0, keepdim=True)])

    def _codes(self, squares: Tensor) -> Tensor:
        """Squared distances N×P×K → the encoding of each patch."""
        if self.encoding == "hard":
            return F.one_hot(squares.argmin(2), self.count).to(squares)
        distances = squares.clamp_min_(0).sqrt_()
        return torch.sub(distances.mean(2, keepdim=True), distances, out=distances).relu_()

    def codebook(self) -> Codebook:
        """The fitted codebook."""
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
    """Bags of visual words (Coates, Lee and Ng 2011): which typical patches an image is made of.

    Args:
        in_channels: Channels of the images.
        image_size: Height and width.
        words: The size of the codebook, found by k-means.
        patch_size: The side of patches in pixels.
        stride: Pixels between patches.
        encoding: "triangle" (soft) or "hard".
        grid: Cells per side over which encodings are averaged.
        patches: The number of random training patches for k-means.
        seed: Default: drawn like the weights.
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
