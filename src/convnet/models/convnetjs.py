"""The networks of the ConvNetJS demos (Karpathy 2014; M49, M69)."""

from __future__ import annotations

from torch import nn

from convnet.layers import MapsToDense, initialize, make_activation, output_size, require_size, widening
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import MODELS


@MODELS.register("convnetjs-mnist")
def convnetjs_mnist(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """ConvNetJS's MNIST demo: 8 and 16 filters of 5×5, pools 2 and 3 wide, one dense layer (M69)."""
    require_size("convnetjs-mnist", image_size, 6)
    stages = [(8, 2), (16, 3)]
    return _demo_network(in_channels, num_classes, image_size, stages, activation, init)


@MODELS.register("convnetjs-cifar10")
def convnetjs_cifar10(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """ConvNetJS's CIFAR-10 demo: 16, 20 and 20 filters of 5×5, each with a 2×2 pool, then dense (M49)."""
    require_size("convnetjs-cifar10", image_size, 8)
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
    """5×5 convolution (pad 2) → activation → max pool, once per (filters, pool width), then dense."""
    layers: list[nn.Module] = []
    height, width = image_size
    for filters, pool in stages:
        layers += [
            nn.Conv2d(in_channels, filters * widening(activation), 5, padding=2),
            make_activation(activation),
            nn.MaxPool2d(pool),
        ]
        in_channels = filters
        height, width = output_size(height, pool, pool), output_size(width, pool, pool)
    return initialize(nn.Sequential(*layers, MapsToDense((in_channels, height, width), num_classes)), init)
