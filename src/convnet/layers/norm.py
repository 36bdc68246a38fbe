"""Local response normalization (as in AlexNet) and the normalization of pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """x_c / (k + α Σ_j x_j²)^β over the `size` channels j around c (Krizhevsky et al. 2012).

    α is the weight of the sum, as in the paper; torch's layer of this name divides it by `size` first, and
    does not run in bf16 on the CPU.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N C *space"]:
        """Same shape in and out."""
        channels, beside = x.shape[1], (0, 0) * (x.dim() - 2)
        squares = F.pad(x.square(), (*beside, self.size // 2, (self.size - 1) // 2))
        total = squares[:, :channels]
        for offset in range(1, self.size):
            total = total + squares[:, offset : offset + channels]
        return x * (self.k + self.alpha * total).pow(-self.beta)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"size={self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"


class Normalize(nn.Module):
    """(pixels − mean) / std, with mean and std as buffers that are stored with the weights.

    Args:
        mean: In pixel values 0…255; 1×C×1×1 per channel, or 1×C×H×W per pixel.
        std: Of the same shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels N×C×H×W, uint8 or float → float N×C×H×W."""
        dtype = pixels.dtype if pixels.dtype is torch.float64 else torch.float32
        scale = self.std.to(dtype).reciprocal()
        return torch.addcmul(-self.mean.to(dtype) * scale, pixels.to(dtype), scale)  # one pass

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"mean {'×'.join(map(str, self.mean.shape[1:]))}"
