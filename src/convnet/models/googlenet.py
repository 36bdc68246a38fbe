"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions")."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import (
    Classifier,
    ConvBlock,
    Dropout,
    FlattenLinear,
    LocalResponseNorm,
    initialize,
    make_activation,
    output_shape,
)
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.types import AuxiliaryLogits, ImageShape

# Table 1 of the paper: 1×1; 3×3 reduced, 3×3; 5×5 reduced, 5×5; projection after the pool.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY_WEIGHT = 0.3
NORM_EPSILON = 1e-3
"""The epsilon of batch norm in the published weights."""


@network(
    "googlenet",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=1000,
        smallest=31,
        parameters=13_378_280,
        source="Szegedy et al. 2014",
        weights=torchvision_file(
            "googlenet-1378be20.pth", 0.698, normalize="symmetric", batch_norm=True, layout="published"
        ),
    ),
)
def googlenet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    batch_norm: bool = False,
    auxiliary: bool = True,
    layout: Literal["paper", "published"] = "paper",
    init: InitName = "he",
) -> nn.Module:
    """GoogLeNet: nine Inception modules with 1×1 reductions and no large dense layer.

    6,998,552 parameters for 3×224×224 images and 1000 classes, and 6,379,728 in the two auxiliary heads,
    which are used in training only, with a loss weight of 0.3. Recipe `googlenet-imagenet`.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        batch_norm: Whether to use batch norm in place of response norms and biases.
        auxiliary: Whether to add the auxiliary heads.
        layout: "paper", or "published" for the network of the public weights: 3×3 convolutions instead of
            5×5, and a smaller last pool.
        init: The initializer.
    """
    return initialize(
        GoogLeNet(in_channels, num_classes, image_size, batch_norm, auxiliary, layout == "published"), init
    )


class GoogLeNet(Classifier):
    """N×C×H×W → logits N×K; in training with auxiliary heads, `AuxiliaryLogits`."""

    head_name = "fc"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        norm: bool,
        auxiliary: bool,
        published: bool,
    ) -> None:
        inception = partial(Inception, norm=norm, five=3 if published else 5)

        def response_norm(name: str) -> dict[str, nn.Module]:
            return {} if norm else {name: LocalResponseNorm()}

        super().__init__(
            conv1=ConvBlock(in_channels, 64, 7, stride=2, norm=norm),
            maxpool1=_pool(),
            **response_norm("norm1"),
            conv2=ConvBlock(64, 64, 1, norm=norm),
            conv3=ConvBlock(64, 192, 3, norm=norm),
            **response_norm("norm2"),
            maxpool2=_pool(),
            inception3a=inception(192, "3a"),
            inception3b=inception(256, "3b"),
            maxpool3=_pool(),
            inception4a=inception(480, "4a"),
            inception4b=inception(512, "4b"),
            inception4c=inception(512, "4c"),
            inception4d=inception(512, "4d"),
            inception4e=inception(528, "4e"),
            maxpool4=_pool(2 if published else 3),
            inception5a=inception(832, "5a"),
            inception5b=inception(832, "5b"),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=Dropout(0.4),
            fc=nn.Linear(1024, num_classes),
        )
        self.heads: dict[str, str] = {}
        if auxiliary:
            place = list(self._modules).index("inception4b")
            lower = nn.Sequential(*list(self.children())[:place])
            _, height, width = output_shape(lower, (in_channels, *image_size))
            self.heads = {"inception4a": "aux1", "inception4d": "aux2"}
            self.add_module("aux1", AuxiliaryHead(512, (height, width), num_classes, norm))
            self.add_module("aux2", AuxiliaryHead(528, (height, width), num_classes, norm))
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = NORM_EPSILON

    def sequence(self) -> list[nn.Module]:
        """The layers from images to logits, without the auxiliary heads."""
        return [layer for name, layer in self.named_children() if not name.startswith("aux")]

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N K"] | AuxiliaryLogits:
        """N×C×H×W → logits; in training also those of the auxiliary heads."""
        others: list[Tensor] = []
        for name, layer in self.named_children():
            if name.startswith("aux"):
                continue
            x = layer(x)
            if self.training and name in self.heads:
                others.append(self.get_submodule(self.heads[name])(x))
        return AuxiliaryLogits(x, tuple(others), AUXILIARY_WEIGHT) if others else x


class Inception(nn.Module):
    """Four branches over the same maps, concatenated: 1×1, 1×1-3×3, 1×1-5×5, pool-1×1."""

    def __init__(self, in_channels: int, name: str, *, norm: bool, five: int) -> None:
        super().__init__()
        one, reduce_three, three, reduce_five, wide, projection = INCEPTION[name]
        block = partial(ConvBlock, norm=norm)
        self.branch1 = block(in_channels, one, 1)
        self.branch2 = nn.Sequential(block(in_channels, reduce_three, 1), block(reduce_three, three, 3))
        self.branch3 = nn.Sequential(block(in_channels, reduce_five, 1), block(reduce_five, wide, five))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), block(in_channels, projection, 1))

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D H W"]:
        """N×C×H×W → N×(ΣC_b)×H×W."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Module):
    """5×5 mean pool stride 3, 1×1 to 128 channels, dense 1,024, dropout 0.7, class scores."""

    def __init__(self, in_channels: int, size: tuple[int, int], num_classes: int, norm: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(min(5, *size), 3)
        self.conv = ConvBlock(in_channels, 128, 1, norm=norm)
        shape = output_shape(nn.Sequential(self.pool, self.conv), (in_channels, *size))
        self.fc1 = FlattenLinear(shape, 1024)
        self.act = make_activation("relu")
        self.dropout = Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N K"]:
        """Intermediate maps → logits."""
        logits: Tensor = self.fc2(self.dropout(self.act(self.fc1(self.conv(self.pool(x))))))
        return logits


def _pool(window: int = 3) -> nn.Module:
    return nn.MaxPool2d(window, 2, ceil_mode=True)
