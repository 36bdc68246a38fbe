"""AlexNet (Krizhevsky et al. 2012) and ZFNet (Zeiler and Fergus 2013), its wider successor."""

from __future__ import annotations

from typing import Literal

from torch import nn

from convnet.layers import Dropout, LocalResponseNorm, MapsToDense, initialize, make_activation, output_shape
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.schema import Count, Fraction


@network(
    "alexnet",
    native=(3, 227, 227),
    num_classes=1000,
    smallest=67,
    parameters=62_378_344,
    source="Krizhevsky et al. 2012",
)
def alexnet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    groups: Literal[1, 2] = 1,
    dropout: Fraction = 0.5,
    init: InitName = "he",
) -> nn.Module:
    """AlexNet: five convolutions, two response norms, three dense layers, for 227-pixel images (M61).

    55×55×96 → 27×27×96 → 27×27×256 → 13×13×256 → 13×13×384 → 13×13×384 → 13×13×256 → 6×6×256 → 4096 →
    4096 → 1000; 62,378,344 parameters, or 60,965,224 with `groups=2`: the paper's second, fourth and fifth
    convolutions, each divided between two GPUs. The norms follow the pools, as the lectures have them.
    Recipe `alexnet-imagenet`: dropout 0.5, batch 128, SGD with momentum 0.9, rate 0.01.
    """
    features = nn.Sequential(
        *_conv(in_channels, 96, 11, stride=4),
        nn.MaxPool2d(3, 2),
        LocalResponseNorm(),
        *_conv(96, 256, 5, padding=2, groups=groups),
        nn.MaxPool2d(3, 2),
        LocalResponseNorm(),
        *_conv(256, 384, 3, padding=1),
        *_conv(384, 384, 3, padding=1, groups=groups),
        *_conv(384, 256, 3, padding=1, groups=groups),
        nn.MaxPool2d(3, 2),
    )
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(features.extend(dense_head(shape, num_classes, dropout)), init)


@network(
    "zfnet",
    native=(3, 224, 224),
    num_classes=1000,
    smallest=53,
    parameters=107_627_624,
    source="Zeiler and Fergus 2013",
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
    """ZFNet: AlexNet with a first layer of 7×7 stride 2 and 512, 1024, 512 filters at the end (M62).

    110×110×96 → 55×55×96 → 26×26×256 → 13×13×256 → 13×13×512 → 13×13×1024 → 13×13×512 → 6×6×512 for
    224-pixel images. `filters` are those of the last three convolutions; the paper's first version has
    (384, 384, 256), AlexNet's.
    """
    third, fourth, fifth = filters
    features = nn.Sequential(
        *_conv(in_channels, 96, 7, stride=2, padding=1),
        nn.MaxPool2d(3, 2, padding=1),
        LocalResponseNorm(),
        *_conv(96, 256, 5, stride=2),
        nn.MaxPool2d(3, 2, padding=1),
        LocalResponseNorm(),
        *_conv(256, third, 3, padding=1),
        *_conv(third, fourth, 3, padding=1),
        *_conv(fourth, fifth, 3, padding=1),
        nn.MaxPool2d(3, 2),
    )
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(features.extend(dense_head(shape, num_classes, dropout)), init)


def dense_head(shape: tuple[int, ...], num_classes: int, dropout: float) -> list[nn.Module]:
    """Two dense layers of 4,096 units with dropout, and the class scores: AlexNet's, ZFNet's and VGG's."""
    return [
        MapsToDense(shape, 4096),
        make_activation("relu"),
        Dropout(dropout),
        nn.Linear(4096, 4096),
        make_activation("relu"),
        Dropout(dropout),
        nn.Linear(4096, num_classes),
    ]


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups)
    return [convolution, make_activation("relu")]
