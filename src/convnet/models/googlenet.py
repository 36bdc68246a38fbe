"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions")."""

from __future__ import annotations

from functools import partial
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import (
    Concat,
    ConvBlock,
    Dropout,
    FlattenLinear,
    LocalResponseNorm,
    initialize,
    make_activation,
    output_shape,
)
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.types import AuxiliaryLogits

# Table 1 of the paper: 1×1; 3×3 reduced, 3×3; 5×5 reduced, 5×5; projection behind the pool.
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
"""What the published weights were trained with."""


@network(
    "googlenet",
    native=(3, 224, 224),
    num_classes=1000,
    smallest=31,
    parameters=13_378_280,
    source="Szegedy et al. 2014",
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
    """GoogLeNet: nine Inception modules with 1×1 reductions and no large dense layer (M64).

    6,998,552 parameters for 3×224×224 images and 1000 classes, and 6,379,728 in the two auxiliary heads,
    which only training uses: their losses count 0.3 each. `batch_norm` replaces the response norms and
    biases; published weights are of that network with `layout="published"`: 3×3 convolutions for the paper's
    5×5, and a smaller last pool.
    Recipe `googlenet-imagenet`.
    """
    return initialize(
        GoogLeNet(in_channels, num_classes, image_size, batch_norm, auxiliary, layout == "published"), init
    )


class GoogLeNet(nn.Module):
    """N×C×H×W → logits N×K; in training with auxiliary heads, `AuxiliaryLogits`."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        norm: bool,
        auxiliary: bool,
        published: bool,
    ) -> None:
        super().__init__()

        inception = partial(Inception, norm=norm, five=3 if published else 5)

        def response_norm() -> list[nn.Module]:
            return [] if norm else [LocalResponseNorm()]

        self.lower = nn.Sequential(
            ConvBlock(in_channels, 64, 7, stride=2, norm=norm),
            _pool(),
            *response_norm(),
            ConvBlock(64, 64, 1, norm=norm),
            ConvBlock(64, 192, 3, norm=norm),
            *response_norm(),
            _pool(),
            inception(192, "3a"),
            inception(256, "3b"),
            _pool(),
            inception(480, "4a"),
        )
        self.middle = nn.Sequential(inception(512, "4b"), inception(512, "4c"), inception(512, "4d"))
        self.upper = nn.Sequential(
            inception(528, "4e"), _pool(2 if published else 3), inception(832, "5a"), inception(832, "5b")
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(0.4), nn.Linear(1024, num_classes)
        )
        self.auxiliary = nn.ModuleList()
        if auxiliary:
            _, height, width = output_shape(self.lower, (in_channels, *image_size))
            self.auxiliary.append(auxiliary_head(512, (height, width), num_classes, norm))
            self.auxiliary.append(auxiliary_head(528, (height, width), num_classes, norm))
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = NORM_EPSILON

    @property
    def main_path(self) -> nn.Sequential:
        """From images to logits, without the auxiliary heads."""
        return nn.Sequential(self.lower, self.middle, self.upper, self.head)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N K"] | AuxiliaryLogits:
        """Scores of the classes; in training also those of the auxiliary heads."""
        lower = self.lower(x)
        middle = self.middle(lower)
        logits: Tensor = self.head(self.upper(middle))
        if not (self.training and self.auxiliary):
            return logits
        others = tuple(head(maps) for head, maps in zip(self.auxiliary, (lower, middle), strict=True))
        return AuxiliaryLogits(logits, others, AUXILIARY_WEIGHT)


class Inception(Concat):
    """Four branches over the same maps: 1×1, 1×1-3×3, 1×1-5×5, pool-1×1; their channels side by side."""

    def __init__(self, in_channels: int, name: str, *, norm: bool, five: int) -> None:
        one, reduce_three, three, reduce_five, wide, projection = INCEPTION[name]
        block = partial(ConvBlock, norm=norm)
        super().__init__(
            block(in_channels, one, 1),
            nn.Sequential(block(in_channels, reduce_three, 1), block(reduce_three, three, 3)),
            nn.Sequential(block(in_channels, reduce_five, 1), block(reduce_five, wide, five)),
            nn.Sequential(nn.MaxPool2d(3, 1, padding=1), block(in_channels, projection, 1)),
        )


def auxiliary_head(in_channels: int, size: tuple[int, int], num_classes: int, norm: bool) -> nn.Module:
    """5×5 mean pool stride 3, 1×1 to 128 channels, dense 1,024, dropout 0.7, class scores."""
    window = min(5, *size)
    maps = nn.Sequential(nn.AvgPool2d(window, 3), ConvBlock(in_channels, 128, 1, norm=norm))
    shape = output_shape(maps, (in_channels, *size))
    return nn.Sequential(
        *maps,
        FlattenLinear(shape, 1024),
        make_activation("relu"),
        Dropout(0.7),
        nn.Linear(1024, num_classes),
    )


def _pool(window: int = 3) -> nn.Module:
    return nn.MaxPool2d(window, 2, ceil_mode=True)
