"""The neocognitron (Fukushima 1980), trained by gradient descent."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.layers import Conv2d, FlattenLinear, classifier_of, initialize, make_activation, output_shape
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count
from convnet.types import ImageShape


class ComplexCells(nn.Module):
    """C-cells: each pools the S-cells of its plane in its neighborhood. N×C×H×W → N×C×⌈H/S⌉×⌈W/S⌉.

    A mean with fixed Gaussian weights over `kernel_size` × `kernel_size` positions, every `stride` positions,
    followed by Fukushima's saturation x/(1 + x).
    """

    weight: Tensor

    def __init__(self, kernel_size: int = 5, stride: int = 2) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, kernel_size // 2
        distance = torch.arange(kernel_size) - (kernel_size - 1) / 2
        profile = torch.exp(-0.5 * (distance / (kernel_size / 4)) ** 2)
        kernel = torch.outer(profile, profile)
        self.register_buffer("weight", (kernel / kernel.sum())[None, None])

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C I J"]:
        """Non-negative inputs → values 0…1."""
        channels = x.shape[1]
        kernels = self.weight.to(x.dtype).expand(channels, -1, -1, -1)
        mean = F.conv2d(x, kernels, stride=self.stride, padding=self.padding, groups=channels)
        return mean / (1 + mean)


@network(
    "neocognitron",
    Facts(
        native=ImageShape(1, 28, 28),
        num_classes=10,
        smallest=1,
        parameters=160_138,
        source="Fukushima 1980",
    ),
)
def neocognitron(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    planes: tuple[Count, ...] = (24, 48, 96),
    init: InitName = "he",
) -> nn.Module:
    """Three pairs of simple cells, which learn patterns, and complex cells, which pool them.

    S-cells are 5×5 convolutions with a ReLU. The paper trains them without supervision; here the network is
    trained by gradient descent. Recipe `neocognitron-mnist`.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for width in planes:
        layers += [Conv2d(channels, width, 5, padding="same"), make_activation("relu"), ComplexCells()]
        channels = width
    features = nn.Sequential(*layers)
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(classifier_of(features, FlattenLinear(shape, num_classes)), init)
