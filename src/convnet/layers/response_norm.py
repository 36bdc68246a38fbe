"""Local response normalisation (M33), as AlexNet defines it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """x_c / (k + α Σ_j x_j²)^β over the `size` channels j around c (Krizhevsky et al. 2012).

    α weighs the sum, as in the paper; torch's layer of this name divides it by `size` first, and does not
    run in bf16 on the CPU. The squares are added channel by channel, so it counts no multiply-accumulates.
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
