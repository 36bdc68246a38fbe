"""VGG (Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image recognition")."""

from __future__ import annotations

from torch import nn

from convnet.layers import ConvBlock, LocalResponseNorm, classifier_of, dense_head, initialize, output_shape
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.registry import Fraction
from convnet.types import ImageShape

WIDTHS = (64, 128, 256, 512, 512)

# Table 1 of the paper: the kernel sizes of every stage's convolutions; "lrn" is response normalization.
CONFIGURATIONS: dict[str, tuple[tuple[int | str, ...], ...]] = {
    "a": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "a-lrn": ((3, "lrn"), (3,), (3, 3), (3, 3), (3, 3)),
    "b": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "c": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "d": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "e": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
ALIASES = {"a": ("vgg11",), "b": ("vgg13",), "d": ("vgg16",), "e": ("vgg19",)}
"""Names by the number of weight layers, as in other libraries."""
WEIGHTS = {
    "a": torchvision_file("vgg11-8a719046.pth", 0.690),
    "b": torchvision_file("vgg13-19584684.pth", 0.699),
    "d": torchvision_file("vgg16-397923af.pth", 0.716),
    "e": torchvision_file("vgg19-dcbb9e9d.pth", 0.724),
}
PARAMETERS = {
    "a": 132_863_336,
    "a-lrn": 132_863_336,
    "b": 133_047_848,
    "c": 133_638_952,
    "d": 138_357_544,
    "e": 143_667_240,
}


def _register(letter: str) -> None:
    configuration = CONFIGURATIONS[letter]
    depth = 3 + sum(isinstance(layer, int) for stage in configuration for layer in stage)

    @network(
        f"vgg-{letter}",
        Facts(
            native=ImageShape(3, 224, 224),
            num_classes=1000,
            smallest=32,
            parameters=PARAMETERS[letter],
            source="Simonyan and Zisserman 2014",
            weights=WEIGHTS.get(letter),
        ),
        aliases=ALIASES.get(letter, ()),
    )
    def vgg(
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        *,
        batch_norm: bool = False,
        dropout: Fraction = 0.5,
        init: InitName = "he",
    ) -> nn.Module:
        layers: list[nn.Module] = []
        channels = in_channels
        for width, stage in zip(WIDTHS, configuration, strict=True):
            for layer in stage:
                if isinstance(layer, str):
                    layers.append(LocalResponseNorm())
                else:
                    layers += ConvBlock(channels, width, layer, norm=batch_norm)
                    channels = width
            layers.append(nn.MaxPool2d(2))
        features = nn.Sequential(*layers)
        shape = output_shape(features, (in_channels, *image_size))
        return initialize(classifier_of(features, *dense_head(shape, num_classes, dropout)), init)

    vgg.__doc__ = f"""VGG {letter.upper()}: {depth} weight layers, 3×3 convolutions and 2×2 pools.

    {PARAMETERS[letter]:,} parameters for 3×224×224 images and 1000 classes. Every convolution has stride 1
    and padding that keeps the size{"; C also has 1×1 convolutions" if letter == "c" else ""}. The paper
    initializes deeper networks from A; with He initialization, the default, this is not needed.
    Recipe `vgg-{letter}-imagenet`: dropout 0.5, batch 256, SGD with momentum 0.9, rate 0.01, decay 5e-4.
    """


for _letter in CONFIGURATIONS:
    _register(_letter)
