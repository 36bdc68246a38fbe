"""AlexNet (Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks")."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from convnet.layers import Classifier, ConvBlock, LocalResponseNorm, dense_head, initialize, output_shape
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.registry import Fraction
from convnet.types import ImageShape


@network(
    "alexnet",
    Facts(
        native=ImageShape(3, 227, 227),
        num_classes=1000,
        smallest=67,
        parameters=62_378_344,
        source="Krizhevsky et al. 2012",
        weights=torchvision_file("alexnet-owt-7be5be79.pth", 0.565, layout="one-tower"),
    ),
)
def alexnet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    layout: Literal["paper", "one-tower"] = "paper",
    groups: Literal[1, 2] = 1,
    dropout: Fraction = 0.5,
    init: InitName = "he",
) -> nn.Module:
    """AlexNet: five convolutions, two response norms, three dense layers, for 227-pixel images.

    55×55×96 → 27×27×96 → 27×27×256 → 13×13×256 → 13×13×384 → 13×13×384 → 13×13×256 → 6×6×256 → 4096 → 4096
    → 1000; 62,378,344 parameters. The norms follow the pools, as in the lectures. Recipe `alexnet-imagenet`:
    dropout 0.5, batch 128, SGD with momentum 0.9, rate 0.01.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        layout: "paper", or "one-tower" for the network of the public weights (Krizhevsky 2014): 64, 192, 384,
            256 and 256 channels, no norms, 61,100,840 parameters for 224-pixel images.
        groups: 2 divides the second, fourth and fifth convolutions as the paper does between two GPUs
            (60,965,224 parameters).
        dropout: The probability of dropout in the head.
        init: The initializer.
    """
    paper = layout == "paper"
    widths = (96, 256, 384, 384, 256) if paper else (64, 192, 384, 256, 256)

    def response_norm() -> list[nn.Module]:
        return [LocalResponseNorm()] if paper else []

    features = nn.Sequential(
        *ConvBlock(in_channels, widths[0], 11, stride=4, padding=0 if paper else 2, norm=False),
        nn.MaxPool2d(3, 2),
        *response_norm(),
        *ConvBlock(widths[0], widths[1], 5, padding=2, groups=groups, norm=False),
        nn.MaxPool2d(3, 2),
        *response_norm(),
        *ConvBlock(widths[1], widths[2], 3, padding=1, norm=False),
        *ConvBlock(widths[2], widths[3], 3, padding=1, groups=groups, norm=False),
        *ConvBlock(widths[3], widths[4], 3, padding=1, groups=groups, norm=False),
        nn.MaxPool2d(3, 2),
    )
    shape = output_shape(features, (in_channels, *image_size))
    names = ("1", "2", "3", "4", "5", "dropout", "6")  # as in published weights, whose dropouts come earlier
    head = OrderedDict(zip(names, dense_head(shape, num_classes, dropout), strict=True))
    return initialize(Classifier(features=features, classifier=nn.Sequential(head)), init)
