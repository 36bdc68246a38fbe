"""Pooling across channels (M32); pooling over places is torch's `MaxPool2d` and `AvgPool2d`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class ChannelMaxPool(nn.Module):
    """The largest of `kernel_size` neighbouring channels, every `stride` channels: N×C×… → N×C'×….

    `stride` defaults to the kernel size. Unlike `Maxout`, whose pieces lie C channels apart, it pools
    neighbours, and its windows may overlap.
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N D *space"]:
        """y[c] = max_k x[c·S + k]."""
        windows: Tensor = x.unfold(1, self.kernel_size, self.stride)
        return windows.amax(-1)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"
