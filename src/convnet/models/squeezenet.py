"""SqueezeNet 1.1 (Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50× fewer parameters")."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Classifier, Dropout, initialize
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.registry import Fraction
from convnet.types import ImageShape

Head = Literal["paper", "linear"]


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 convolutions side by side."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D H W"]:
        """The maps of both convolutions, concatenated."""
        x = self.squeeze_activation(self.squeeze(x))
        small, large = self.expand1x1(x), self.expand3x3(x)
        return torch.cat([self.expand1x1_activation(small), self.expand3x3_activation(large)], 1)


@network(
    "squeezenet1.1",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=1000,
        smallest=17,
        parameters=1_235_496,
        source="Iandola et al. 2016",
        weights=torchvision_file("squeezenet1_1-b8a52dc0.pth", 0.582, new_head={"head": "linear"}),
    ),
    aliases=("squeezenet1_1",),
)
def squeezenet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    head: Head = "paper",
    dropout: Fraction = 0.5,
    init: InitName = "he",
) -> nn.Module:
    """SqueezeNet 1.1: fire modules, and no dense layer.

    1,235,496 parameters for 224-pixel images and 1000 classes. Recipe `squeezenet1.1-imagenet`: SGD with
    momentum 0.9, rate 0.04, weight decay 2e-4.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Not used; the network takes any size.
        head: "paper" is a 1×1 convolution with ReLU and a mean pool; "linear" is a mean pool and a dense
            layer, as fine-tuning needs it.
        dropout: The probability of dropout in front of the last layer.
        init: The initializer.
    """
    features = nn.Sequential(
        nn.Conv2d(in_channels, 64, 3, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
    pool, flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    if head == "linear":
        last = nn.Sequential(Dropout(dropout), nn.Linear(512, num_classes))
        network = Classifier(features=features, avgpool=pool, flatten=flatten, classifier=last)
    else:
        convolution = nn.Conv2d(512, num_classes, 1)
        last = nn.Sequential(Dropout(dropout), convolution, nn.ReLU(inplace=True), pool, flatten)
        network = Classifier(features=features, classifier=last)
    return initialize(network, init)
