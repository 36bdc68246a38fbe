"""The default network: small, for images of any size."""

from __future__ import annotations

from functools import partial

from torch import nn

from convnet.layers import ConvBlock, Dropout, classifier_of, initialize
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction
from convnet.types import ImageShape

MAX_STAGES = 5
SMALLEST_MAP = 4


@network(
    "small-convnet",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=4,
        parameters=1_175_786,
        source="convnet",
    ),
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
    """VGG-like stages of two 3×3 convolutions with batch norm and a 2×2 pool, then a global mean pool.

    There are at most five stages, while maps have at least four pixels a side. Each stage doubles the
    channels, up to eight times `width`. Images of over 64 pixels are halved once more at the start.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        width: The channels of the first stage.
        dropout: The probability of dropout before the head.
        activation: The activation.
        init: The initializer.
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
