"""Rosenblatt's perceptron."""

from __future__ import annotations

from torch import nn

from convnet.layers import FlattenLinear, classifier_of
from convnet.models.registry import Facts, network
from convnet.types import ImageShape


@network(
    "perceptron",
    Facts(
        native=ImageShape(1, 20, 20),
        num_classes=10,
        smallest=1,
        parameters=4_010,
        source="Rosenblatt 1958",
        baseline=True,
    ),
)
def perceptron(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """One unit per class, f(x) = 1 if w·x + b > 0 else 0, with zero weights at the start (Rosenblatt 1958).

    The update w ← w + α(d − y)x is the step of `sgd` with the loss `perceptron`. The logits are w·x + b; the
    largest decides if several units fire, or none.
    """
    layer = FlattenLinear((in_channels, *image_size), num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return classifier_of(nn.Identity(), layer)
