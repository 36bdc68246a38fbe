"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s")."""

from __future__ import annotations

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.layers import Classifier
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.types import ImageShape

DEPTHS, WIDTHS = (3, 3, 9, 3), (96, 192, 384, 768)
EPS, SCALE, DEVIATION = 1e-6, 1e-6, 0.02
"""Epsilon of the norms, first value of the layer scale, deviation of the first weights."""


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of N×C×H×W, at each position."""

    def forward(self, input: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Same shape in and out."""
        x = input.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    """The axes of a tensor in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """The permuted tensor, without a copy."""
        return x.permute(self.order)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return ", ".join(map(str, self.order))


class Block(nn.Module):
    """x + scale · (depthwise 7×7, layer norm, 1×1 to four times the channels, GELU, 1×1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, eps=EPS),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), SCALE))

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Same shape in and out."""
        out: Tensor = x + self.layer_scale * self.block(x)
        return out


LAYERS = {
    "conv_dw": "block.0",
    "dwconv": "block.0",
    "norm": "block.2",
    "mlp.fc1": "block.3",
    "pwconv1": "block.3",
    "mlp.fc2": "block.5",
    "pwconv2": "block.5",
}
"""The layers of a block in timm and in the authors' files, and in torchvision."""


def torchvision_name(name: str) -> str:
    """The name in torchvision, and here, of a tensor of timm or of the authors' files."""
    if match := re.fullmatch(r"(?:stem|downsample_layers\.0)\.(\d)\.(\w+)", name):
        return f"features.0.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"(?:stages\.(\d)\.downsample|downsample_layers\.(\d))\.(\d)\.(\w+)", name):
        return f"features.{2 * int(match[1] or match[2])}.{match[3]}.{match[4]}"
    if match := re.fullmatch(r"stages\.(\d)\.(?:blocks\.)?(\d+)\.(.+)", name):
        layer, _, tensor = match[3].rpartition(".")
        inside = f"{LAYERS.get(layer, layer)}.{tensor}" if layer else "layer_scale"
        return f"features.{2 * int(match[1]) + 1}.{match[2]}.{inside}"
    if match := re.fullmatch(r"(?:head\.)?norm\.(\w+)", name):
        return f"classifier.0.{match[1]}"
    match = re.fullmatch(r"head\.(?:fc\.)?(\w+)", name)
    return f"classifier.2.{match[1]}" if match else name


@network(
    "convnext-tiny",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=1000,
        smallest=32,
        parameters=28_589_128,
        source="Liu et al. 2022",
        weights=torchvision_file("convnext_tiny-983f1562.pth", 0.825, crop_pct=224 / 236),
        rename=torchvision_name,
    ),
    aliases=("convnext_tiny",),
)
def convnext_tiny(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """ConvNeXt-T: depthwise 7×7 convolutions, layer norm and GELU, in stages of 3, 3, 9 and 3 blocks.

    28,589,128 parameters for 224-pixel images and 1000 classes. Recipe `convnext-tiny-imagenet`. Tensors have
    torchvision's names; files of timm and of the authors load as well.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Not used; the network takes any size from 32 pixels.
    """
    stem = nn.Sequential(nn.Conv2d(in_channels, WIDTHS[0], 4, 4), LayerNorm2d(WIDTHS[0], eps=EPS))
    features = nn.Sequential(stem)
    for place, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
        if place:
            before = WIDTHS[place - 1]
            features.append(nn.Sequential(LayerNorm2d(before, eps=EPS), nn.Conv2d(before, width, 2, 2)))
        features.append(nn.Sequential(*(Block(width) for _ in range(depth))))
    network = Classifier(
        features=features,
        avgpool=nn.AdaptiveAvgPool2d(1),
        classifier=nn.Sequential(
            LayerNorm2d(WIDTHS[-1], eps=EPS), nn.Flatten(), nn.Linear(WIDTHS[-1], num_classes)
        ),
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            nn.init.trunc_normal_(module.weight, std=DEVIATION)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return network
