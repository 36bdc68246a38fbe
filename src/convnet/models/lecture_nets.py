"""The networks of the lectures: the programming task and the network of the pictures."""

from __future__ import annotations

from torch import nn

from convnet.layers import (
    Conv2d,
    Dropout,
    FlattenLinear,
    classifier_of,
    initialize,
    make_activation,
    output_shape,
)
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction
from convnet.types import ImageShape


@network(
    "lecture-mnist",
    Facts(
        native=ImageShape(1, 28, 28),
        num_classes=10,
        smallest=5,
        parameters=1_191_338,
        source="the lectures",
    ),
)
def lecture_mnist(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    conv_dropout: Fraction = 0.35,
    dense_dropout: Fraction = 0.5,
    init: InitName = "xavier",
) -> nn.Module:
    """The network of the programming task: two convolutions, a pool, two dense layers, two dropouts.

    conv 64 3×3 stride 2 valid ReLU → conv 32 2×2 same ReLU → max pool 2×2 stride 1 → dropout 0.35 →
    flatten → dense 256 tanh → dropout 0.5 → dense; 1,191,338 parameters on MNIST. The softmax is part of
    the loss. Xavier initialization is the default of Keras, for which the task was written.
    """
    features = nn.Sequential(
        nn.Conv2d(in_channels, 64, 3, stride=2),
        nn.ReLU(inplace=True),
        Conv2d(64, 32, 2, padding="same"),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, stride=1),
        Dropout(conv_dropout),
    )
    head = [
        FlattenLinear(output_shape(features, (in_channels, *image_size)), 256),
        nn.Tanh(),
        Dropout(dense_dropout),
        nn.Linear(256, num_classes),
    ]
    return initialize(classifier_of(features, *head), init)


FILTERS = 10


@network(
    "lecture-picture",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=8,
        parameters=6_440,
        source="the lectures",
    ),
)
def lecture_picture(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    filters: Count = FILTERS,
    init: InitName = "he",
) -> nn.Module:
    """Three times CONV-RELU-CONV-RELU-POOL with ten 3×3 filters each, then a dense layer.

    All activations fit into one picture; 6,440 parameters on CIFAR-10. Recipe `lecture-picture-cifar10`.
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
    return initialize(classifier_of(features, FlattenLinear(shape, num_classes)), init)
