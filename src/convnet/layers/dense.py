"""The dense layer that follows the feature maps."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MapsToDense(nn.Module):
    """A fully connected layer over whole feature maps: N×C×H×W → N×D.

    The same function as flattening followed by a linear layer, but `weight[d, c, h, w]` says which pixel
    it belongs to, whatever the order of the maps in memory. So feature maps that are stored channels-last
    are read as they lie instead of being copied into channels-first order, and the weights of an output
    can be drawn as an image: its template (M02).
    """

    def __init__(self, shape: tuple[int, int, int], out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, *shape))
        self.bias = nn.Parameter(torch.zeros(out_features))
        bound = 1 / math.sqrt(math.prod(shape))  # torch's own default for nn.Linear
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """Σ_chw weight[d, c, h, w] · x[n, c, h, w] + bias[d].

        The product is taken as W xᵀ: torch 2.13's bf16 `F.linear` ends the process with a division error
        on the CPU for 32 images of 3×128×128; this order does not, and is no slower.
        """
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return (weight @ x.permute(0, 2, 3, 1).flatten(1).t()).t() + self.bias

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        out_features, *shape = self.weight.shape
        return f"{'×'.join(map(str, shape))} → {out_features}"
