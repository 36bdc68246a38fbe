"""The network of the lectures' programming task (M48)."""

from __future__ import annotations

from torch import nn

from convnet.layers import Conv2d, Dropout, MapsToDense, initialize, output_shape
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.schema import Fraction


@network(
    "lecture-mnist",
    native=(1, 28, 28),
    num_classes=10,
    smallest=5,
    parameters=1_191_338,
    source="the lectures",
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
    """The programming task's net: two convolutions, a pool, two dense layers, two dropouts (M48).

    conv 64 3×3 stride 2 valid ReLU → conv 32 2×2 same ReLU → max pool 2×2 stride 1 → dropout 0.35 →
    flatten → dense 256 tanh → dropout 0.5 → dense; 1,191,338 parameters on MNIST. The softmax is part of
    the loss. Xavier initialisation is what Keras, for which the task was written, starts from.
    """
    features = nn.Sequential(
        nn.Conv2d(in_channels, 64, 3, stride=2),
        nn.ReLU(inplace=True),
        Conv2d(64, 32, 2, padding="same"),
        # ReLU and max pooling commute; on the smaller, pooled maps ReLU is cheaper.
        nn.MaxPool2d(2, stride=1),
        nn.ReLU(inplace=True),
        Dropout(conv_dropout),
    )
    head = [
        MapsToDense(output_shape(features, (in_channels, *image_size)), 256),
        nn.Tanh(),
        Dropout(dense_dropout),
        nn.Linear(256, num_classes),
    ]
    return initialize(features.extend(head), init)
