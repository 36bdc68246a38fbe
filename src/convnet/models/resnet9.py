"""ResNet-9 for small images (Page 2018, "How to train your ResNet"; the DAWNBench net)."""

from __future__ import annotations

from functools import partial

from torch import nn

from convnet.layers import ConvBlock, Residual, classifier_of, initialize
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count
from convnet.types import ImageShape


@network(
    "resnet9",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=8,
        parameters=6_573_130,
        source="Page 2018",
    ),
)
def resnet9(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    width: Count = 64,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """Eight 3×3 convolutions, two residual blocks and a dense layer, for images of 8 to 64 pixels.

    6,573,130 parameters on CIFAR-10 at width 64. Batch norm after every convolution, He initialization.
    """

    block = partial(ConvBlock, activation=activation)

    def residual(channels: int) -> nn.Module:
        return Residual(nn.Sequential(block(channels, channels), block(channels, channels)))

    features = nn.Sequential(
        block(in_channels, width),
        block(width, 2 * width, pool=True),
        residual(2 * width),
        block(2 * width, 4 * width, pool=True),
        block(4 * width, 8 * width, pool=True),
        residual(8 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return initialize(classifier_of(features, nn.Linear(8 * width, num_classes)), init)
