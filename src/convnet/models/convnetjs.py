"""The networks of the ConvNetJS demos (Karpathy 2014)."""

from __future__ import annotations

from torch import nn

from convnet.layers import FlattenLinear, classifier_of, initialize, make_activation, output_shape, widening
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.types import ImageShape


@network(
    "convnetjs-mnist",
    Facts(
        native=ImageShape(1, 28, 28),
        num_classes=10,
        smallest=6,
        parameters=5_994,
        source="Karpathy 2014",
    ),
)
def convnetjs_mnist(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """ConvNetJS's MNIST demo: 8 and 16 filters of 5×5, pools 2 and 3 wide, one dense layer."""
    stages = [(8, 2), (16, 3)]
    return _demo_network(in_channels, num_classes, image_size, stages, activation, init)


@network(
    "convnetjs-cifar10",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=8,
        parameters=22_466,
        source="Karpathy 2014",
    ),
)
def convnetjs_cifar10(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """ConvNetJS's CIFAR-10 demo: 16, 20 and 20 filters of 5×5, each with a 2×2 pool, then dense."""
    stages = [(16, 2), (20, 2), (20, 2)]
    return _demo_network(in_channels, num_classes, image_size, stages, activation, init)


def _demo_network(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    stages: list[tuple[int, int]],
    activation: ActivationName,
    init: InitName,
) -> nn.Module:
    """5×5 convolution (pad 2) → activation → max pool, once per (filters, pool width), then a dense layer."""
    layers: list[nn.Module] = []
    channels = in_channels
    for filters, pool in stages:
        layers += [
            nn.Conv2d(channels, filters * widening(activation), 5, padding=2),
            make_activation(activation),
            nn.MaxPool2d(pool),
        ]
        channels = filters
    features = nn.Sequential(*layers)
    shape = output_shape(features, (in_channels, *image_size))
    return initialize(classifier_of(features, FlattenLinear(shape, num_classes)), init)
