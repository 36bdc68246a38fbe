"""The locally connected layer: a convolution without weight sharing."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.layers.arithmetic import output_size


class LocallyConnected2d(nn.Module):
    """N×C×H×W → N×D×H'×W' with a separate kernel at every position.

    It has the connections of a convolution, H'·W' times as many weights, and a fixed image size. `weight` is
    D×(C·K·K)×(H'·W'), `bias` is D×H'×W'.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        image_size: Height and width of the input.
        kernel_size: The side of the kernels.
        stride: The stride.
        padding: Zeros on every side.

    Raises:
        ValueError: The window does not fit into the image.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        height, width = (output_size(side, kernel_size, stride, padding) for side in image_size)
        if min(height, width, stride) < 1:
            raise ValueError(
                f"a {kernel_size}×{kernel_size} window with stride {stride} and padding {padding} "
                f"does not fit into {image_size[0]}×{image_size[1]}"
            )
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, image_size
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.output_size = (height, width)
        fan_in = in_channels * kernel_size**2
        self.weight = nn.Parameter(torch.empty(out_channels, fan_in, height * width))
        self.bias = nn.Parameter(torch.zeros(out_channels, height, width))
        nn.init.uniform_(self.weight, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """y[n, o, i, j] = Σ w[o, ckl, ij] · patch[n, ckl, ij] + bias[o, i, j]."""
        patches = F.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)
        products = torch.einsum("ncp,dcp->ndp", patches, self.weight)
        maps: Tensor = products.unflatten(2, self.output_size)
        return maps + self.bias

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return (
            f"{self.in_channels}, {self.out_channels}, image_size={self.image_size}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        )
