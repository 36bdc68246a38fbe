"""The dense layer that follows the feature maps."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FlattenLinear(nn.Linear):
    """A fully connected layer over whole feature maps: N×C×H×W → N×D.

    The same function as flattening followed by `nn.Linear`, and the same `state_dict`. Only its live
    weight, D×HWC, has another order: that in which channels-last maps lie in memory, so that they are
    read as they are instead of being copied into channels-first order.
    """

    def __init__(self, shape: tuple[int, ...], out_features: int) -> None:
        super().__init__(math.prod(shape), out_features)
        self.shape = shape
        self.register_state_dict_post_hook(_to_channels_first)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_to_channels_last)  # type: ignore[no-untyped-call]

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
        """Σ_chw w[d, c, h, w] · x[n, c, h, w] + bias[d].

        The product is taken as W xᵀ: torch 2.13's bf16 `F.linear` ends the process with a division error
        on the CPU for 32 images of 3×128×128; this order does not, and is no slower.
        """
        pixels = x.permute(0, 2, 3, 1).flatten(1)
        return torch.addmm(self.bias.unsqueeze(1), self.weight, pixels.t()).t()

    def templates(self) -> Float[Tensor, "D C H W"]:
        """The weights of every output as an image: D×C×H×W."""
        channels, height, width = self.shape
        maps: Tensor = self.weight.unflatten(1, (height, width, channels))
        return maps.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"{'×'.join(map(str, self.shape))} → {self.out_features}"


def _to_channels_first(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    """The stored weight is D×CHW, as `nn.Flatten` and `nn.Linear` have it."""
    assert isinstance(module, FlattenLinear)
    channels, height, width = module.shape
    weight = state[f"{prefix}weight"].unflatten(1, (height, width, channels))
    state[f"{prefix}weight"] = weight.permute(0, 3, 1, 2).flatten(1)


def _to_channels_last(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    assert isinstance(module, FlattenLinear)
    weight = state.get(f"{prefix}weight")
    if weight is not None and weight.shape == module.weight.shape:  # else torch names the mismatch itself
        state[f"{prefix}weight"] = weight.unflatten(1, module.shape).permute(0, 2, 3, 1).flatten(1)
