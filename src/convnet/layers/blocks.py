"""Blocks that several networks share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers.activations import make_activation, widening


class ConvBlock(nn.Sequential):
    """3×3 convolution, batch norm, activation; optionally a 2×2 max pool at the end."""

    def __init__(
        self, in_channels: int, out_channels: int, *, activation: str = "relu", pool: bool = False
    ) -> None:
        wide = out_channels * widening(activation)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            make_activation(activation),
        ]
        super().__init__(*layers, *([nn.MaxPool2d(2)] if pool else []))


class Residual(nn.Module):
    """x + body(x) (He et al. 2016)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Same shape in and out."""
        out: Tensor = self.body(x)
        return x + out
