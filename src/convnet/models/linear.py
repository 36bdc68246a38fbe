"""The linear classifier s = Wx + b."""

from __future__ import annotations

from torch import nn

from convnet.layers import FlattenLinear, classifier_of, initialize
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.types import ImageShape


@network(
    "linear",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=1,
        parameters=30_730,
        source="classical",
        baseline=True,
    ),
)
def linear(
    in_channels: int, num_classes: int, image_size: tuple[int, int], *, init: InitName = "xavier"
) -> nn.Module:
    """Logits s = Wx + b of the pixels: one template per class; 10×3072 weights on CIFAR-10."""
    return initialize(
        classifier_of(nn.Identity(), FlattenLinear((in_channels, *image_size), num_classes)), init
    )
