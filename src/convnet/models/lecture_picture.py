"""The small network of the lectures' pictures of layers (M69)."""

from __future__ import annotations

from torch import nn

from convnet.layers import MapsToDense, initialize, make_activation, output_shape
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.schema import Count

FILTERS = 10


@network(
    "lecture-picture", native=(3, 32, 32), num_classes=10, smallest=8, parameters=6_440, source="the lectures"
)
def lecture_picture(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    filters: Count = FILTERS,
    init: InitName = "he",
) -> nn.Module:
    """Three times CONV-RELU-CONV-RELU-POOL with ten 3×3 filters each, then a dense layer (M69).

    Small enough that every activation fits into one picture; 6,440 parameters on CIFAR-10.
    Recipe `lecture-picture-cifar10`.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for _ in range(3):
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), make_activation("relu")]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(features.append(MapsToDense(shape, num_classes)), init)
