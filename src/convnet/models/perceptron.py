"""Rosenblatt's perceptron (M03)."""

from __future__ import annotations

from torch import nn

from convnet.layers import FlattenLinear, classifier_of
from convnet.models.registry import network


@network(
    "perceptron", native=(1, 20, 20), num_classes=10, smallest=1, parameters=4_010, source="Rosenblatt 1958"
)
def perceptron(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """One unit a class, f(x) = 1 if w·x + b > 0 else 0, from weights of 0 (M03); 20×20 pixels then.

    Its update w ← w + α(d − y)x is the step of `sgd` on the loss `perceptron`. The logits are w·x + b: of
    several units that fire, or none, the most certain one decides.
    """
    layer = FlattenLinear((in_channels, *image_size), num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return classifier_of(nn.Identity(), layer)
