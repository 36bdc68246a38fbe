"""The first layer of every trained network: pixels to normalised values."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(pixels − mean) / std (M45), with mean and std as buffers, so that they travel with the weights.

    Pixels are 0…255, uint8 or float; `mean` and `std` broadcast over N×C×H×W: 1×C×1×1 for statistics per
    channel, 1×C×H×W for statistics per pixel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())

    def forward(self, pixels: Tensor) -> Tensor:
        """N×C×H×W pixels → float N×C×H×W."""
        dtype = pixels.dtype if pixels.dtype is torch.float64 else torch.float32
        scale = self.std.to(dtype).reciprocal()
        return torch.addcmul(-self.mean.to(dtype) * scale, pixels.to(dtype), scale)  # one pass

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"mean {'×'.join(map(str, self.mean.shape[1:]))}"
