"""The default network for data nobody has seen: small, any image size, trains anywhere."""

from __future__ import annotations

from functools import partial

from torch import nn

from convnet.layers import ConvBlock, Dropout, classifier_of, initialize
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.registry import Count, Fraction

MAX_STAGES = 5
SMALLEST_MAP = 4


@network(
    "small-convnet", native=(3, 32, 32), num_classes=10, smallest=4, parameters=1_175_786, source="convnet"
)
def small_convnet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    width: Count = 32,
    dropout: Fraction = 0.2,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """VGG-like stages of two 3×3 convolutions, batch norm and a 2×2 pool, then a global mean.

    There are as many stages (at most five) as leave maps of four pixels or more, and each doubles the
    channels up to eight times `width`; images of over 64 pixels are halved once more by the first stage.
    """
    block = partial(ConvBlock, activation=activation)
    side = min(image_size)
    layers: list[nn.Module] = []
    channels = width
    if side > 64:
        layers.append(block(in_channels, channels, pool=True))
        in_channels, side = channels, side // 2
    for _ in range(MAX_STAGES):
        last = side < 2 * SMALLEST_MAP
        layers += [
            block(in_channels, channels),
            block(channels, channels, pool=not last),
        ]
        in_channels, channels, side = channels, min(2 * channels, 8 * width), side // 2
        if last:
            break
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(dropout)]
    return initialize(classifier_of(nn.Sequential(*layers), nn.Linear(in_channels, num_classes)), init)
