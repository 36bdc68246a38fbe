"""ZFNet (Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks")."""

from __future__ import annotations

from torch import nn

from convnet.layers import ConvBlock, LocalResponseNorm, classifier_of, dense_head, initialize, output_shape
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction
from convnet.types import ImageShape


@network(
    "zfnet",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=1000,
        smallest=53,
        parameters=107_627_624,
        source="Zeiler and Fergus 2013",
    ),
)
def zfnet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    filters: tuple[Count, Count, Count] = (512, 1024, 512),
    dropout: Fraction = 0.5,
    init: InitName = "he",
) -> nn.Module:
    """ZFNet: AlexNet with a first layer of 7×7 stride 2 and 512, 1024, 512 filters at the end.

    110×110×96 → 55×55×96 → 26×26×256 → 13×13×256 → 13×13×512 → 13×13×1024 → 13×13×512 → 6×6×512 for
    224-pixel images. Recipe `zfnet-imagenet`, with AlexNet's settings.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        filters: The filters of the last three convolutions; (384, 384, 256) in the paper's first version.
        dropout: The probability of dropout in the head.
        init: The initializer.
    """
    third, fourth, fifth = filters
    features = nn.Sequential(
        *ConvBlock(in_channels, 96, 7, stride=2, padding=1, norm=False),
        nn.MaxPool2d(3, 2, padding=1),
        LocalResponseNorm(),
        *ConvBlock(96, 256, 5, stride=2, padding=0, norm=False),
        nn.MaxPool2d(3, 2, padding=1),
        LocalResponseNorm(),
        *ConvBlock(256, third, 3, padding=1, norm=False),
        *ConvBlock(third, fourth, 3, padding=1, norm=False),
        *ConvBlock(fourth, fifth, 3, padding=1, norm=False),
        nn.MaxPool2d(3, 2),
    )
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(classifier_of(features, *dense_head(shape, num_classes, dropout)), init)
