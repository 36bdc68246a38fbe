"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

from typing import Literal

from torch import nn

from convnet.layers import FlattenLinear, classifier_of, initialize, make_activation, output_shape, widening
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.types import ImageShape


@network(
    "lenet5",
    Facts(
        native=ImageShape(1, 32, 32),
        num_classes=10,
        smallest=28,
        parameters=61_706,
        source="LeCun et al. 1998",
    ),
)
def lenet5(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    activation: ActivationName = "tanh",
    pool: Literal["max", "mean"] = "max",
    init: InitName = "xavier",
) -> nn.Module:
    """LeNet-5: CONV-POOL-CONV-POOL-CONV-FC, 5×5 filters stride 1, 2×2 pools stride 2.

    61,706 parameters for 1×32×32 images and ten classes, with full connections between maps. Images of 28 to
    31 pixels are padded to 32 by the first layer, as in the paper. Recipe `lenet5-mnist`.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        activation: The activation.
        pool: "max", which trains better, or "mean" as in the paper.
        init: The initializer.
    """
    padding = 2 if min(image_size) < 32 else 0
    pooling = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
    wide = widening(activation)
    features = nn.Sequential(
        nn.Conv2d(in_channels, 6 * wide, 5, padding=padding),
        make_activation(activation),
        pooling(2),
        nn.Conv2d(6, 16 * wide, 5),
        make_activation(activation),
        pooling(2),
        nn.Conv2d(16, 120 * wide, 5),
        make_activation(activation),
    )
    head = [
        FlattenLinear(output_shape(features, (in_channels, *image_size)), 84 * wide),
        make_activation(activation),
        nn.Linear(84, num_classes),
    ]
    return initialize(classifier_of(features, *head), init)
