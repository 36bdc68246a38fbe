"""The multi-layer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from convnet.layers import Dropout, FlattenLinear, classifier_of, initialize, make_activation, widening
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction
from convnet.types import ImageShape


@network(
    "mlp",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=1,
        parameters=789_258,
        source="Rumelhart et al. 1986",
    ),
)
def mlp(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    hidden: tuple[Count, ...] = (256,),
    activation: ActivationName = "relu",
    dropout: Fraction = 0.0,
    init: InitName = "he",
) -> nn.Module:
    """Fully connected layers f = W2 max(0, W1 x), with one hidden layer per entry of `hidden`."""
    if not hidden:
        layer = FlattenLinear((in_channels, *image_size), num_classes)
        return initialize(classifier_of(nn.Identity(), layer), init)
    wide = widening(activation)
    layers: list[nn.Module] = [FlattenLinear((in_channels, *image_size), hidden[0] * wide)]
    for before, after in pairwise((*hidden, None)):
        layers += [make_activation(activation), Dropout(dropout)]
        layers.append(nn.Linear(before or 0, num_classes if after is None else after * wide))
    return initialize(classifier_of(nn.Sequential(*layers[:-1]), layers[-1]), init)
