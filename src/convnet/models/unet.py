"""U-Net (Ronneberger et al. 2015, "Convolutional networks for biomedical image segmentation")."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from convnet.errors import RecipeError
from convnet.layers import ConvBlock, Dropout, Sizes, UpConv2d, initialize
from convnet.layers.init import InitName
from convnet.models.backbone import Backbone, Level, make_backbone
from convnet.models.registry import MODELS, Facts, build_model, network, transfer_options
from convnet.registry import Count, Fraction
from convnet.types import ImageShape

NATIVE = 224
"""The side in pixels of the images for which a user's own encoder is built."""
Convolutions = Literal["same", "valid"]
Upsampling = Literal["transposed", "resize"]


class UpBlock(nn.Module):
    """One decoder level: double the size, concatenate the skip connection, apply two convolutions."""

    def __init__(self, up: nn.Module, merge: nn.Module) -> None:
        super().__init__()
        self.up, self.merge = up, merge

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """N×C×H×W and N×D×2H×2W → N×D×2H×2W; valid convolutions lose the border."""
        raised: Tensor = self.up(x)
        top, left = ((skip.shape[side] - raised.shape[side]) // 2 for side in (2, 3))
        kept = skip[:, :, top : top + raised.shape[2], left : left + raised.shape[3]]
        out: Tensor = self.merge(torch.cat([kept, raised], 1))
        return out


class UNet(nn.Module):
    """An encoder, a decoder with skip connections, and a 1×1 convolution as head.

    Attributes:
        encoder: The blocks from the top to the bottom.
        decoder: The blocks from the bottom to the top.
        head: Features → outputs.
        residual: Whether the input is added to the output.
    """

    def __init__(
        self,
        encoder: list[nn.Module],
        decoder: list[nn.Module],
        head: nn.Module,
        sizes: Sizes,
        residual: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.head, self.pool = head, nn.MaxPool2d(2)
        self.sizes, self.residual = sizes, residual

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×K×H'×W'."""
        maps, skips = x, list[Tensor]()
        for place, block in enumerate(self.encoder):
            maps = block(self.pool(maps) if place else maps)
            skips.append(maps)
        for block, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            maps = block(maps, skip)
        out: Tensor = self.head(maps)
        if not self.residual:
            return out
        margin = self.sizes.shrink // 2
        return out + x[:, :, margin : x.shape[2] - margin, margin : x.shape[3] - margin]


@network(
    "unet",
    Facts(
        native=ImageShape(1, 512, 512),
        num_classes=2,
        smallest=lambda depth=4, **_: 2**depth,
        parameters=31_036_546,
        source="Ronneberger et al. 2015",
        targets=("mask", "image"),
    ),
)
def unet(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    depth: Count = 4,
    width: Count = 64,
    convolutions: Convolutions = "same",
    upsampling: Upsampling = "transposed",
    norm: bool = True,
    dropout: Fraction = 0.0,
    residual: bool = False,
    encoder: str | None = None,
    init: InitName = "he",
) -> nn.Module:
    """U-Net: halve the size and double the channels `depth` times, then reverse with skip connections.

    Images whose size is not a multiple of 2^depth are mirrored at the border. The paper's network has no
    batch norm and 31,030,658 parameters for two classes.

    Args:
        in_channels: Channels of the images.
        num_classes: Channels of the output.
        image_size: Not used; the network takes any size.
        depth: The number of halvings.
        width: The channels of the first level.
        convolutions: "same" keeps the size; "valid", as in the paper, maps 572×572 pixels to the inner
            388×388.
        upsampling: "transposed" convolutions, or "resize": nearest neighbors and a 1×1 convolution.
        norm: Whether to use batch norm.
        dropout: The probability of dropout at the bottom.
        residual: Whether to add the input to the output, for image-to-image tasks.
        encoder: A classifier whose layers are the encoder, up to the stride 2^`depth`; the skip connections
            come from its last maps of every resolution. Its public weights can be loaded (`--weights
            imagenet`). `width` is then that of the decoder.
        init: The initializer.
    """
    block = _Blocks(convolutions, norm)
    if encoder is not None:
        if convolutions == "valid" or dropout:
            raise RecipeError("model.convolutions=valid and model.dropout do not apply with model.encoder")
        backbone, levels = _backbone(encoder, in_channels, depth)
        decoder = nn.ModuleList(_decoder(levels, width, block, upsampling))
        stem, head = block(in_channels, width), nn.Conv2d(width, num_classes, 1)
        for part in (stem, decoder, head):
            initialize(part, init)
        if residual:
            nn.init.zeros_(head.weight)
        return EncodedUNet(backbone, stem, decoder, head, stride=2**depth, residual=residual)
    widths = [width * 2**level for level in range(depth + 1)]
    blocks: list[nn.Module] = [block(a, b) for a, b in pairwise((in_channels, *widths[:-1]))]
    bottom = block(widths[-2], widths[-1])
    blocks.append(nn.Sequential(*bottom, Dropout(dropout)) if dropout else bottom)
    raised: list[nn.Module] = [
        UpBlock(_raise(below, above, upsampling), block(2 * above, above))
        for below, above in pairwise(reversed(widths))
    ]
    head = nn.Conv2d(width, num_classes, 1)
    network = initialize(UNet(blocks, raised, head, _sizes(depth, convolutions), residual), init)
    if residual:  # at the start the network returns its input
        nn.init.zeros_(head.weight)
    return network


class EncodedUNet(nn.Module):
    """A U-Net whose encoder is a classifier, so that its public weights can be loaded.

    Attributes:
        encoder: Image → maps of every resolution from half of the image on.
        stem: Image → maps of its own resolution, for the last skip connection.
        decoder: The blocks from the bottom to the top.
        head: Features → outputs.
        residual: Whether the input is added to the output.
    """

    def __init__(
        self,
        encoder: Backbone,
        stem: nn.Module,
        decoder: nn.ModuleList,
        head: nn.Module,
        *,
        stride: int,
        residual: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.stem = encoder, stem
        self.decoder, self.head = decoder, head
        self.sizes, self.residual = Sizes(multiple=stride), residual

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×K×H×W."""
        skips: list[Tensor] = [self.stem(x), *self.encoder(x)]
        maps = skips.pop()
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            maps = block(maps, skip)
        out: Tensor = self.head(maps)
        return out + x if self.residual else out


class _Blocks:
    """Makes pairs of 3×3 convolutions."""

    def __init__(self, convolutions: Convolutions, norm: bool) -> None:
        self.padding, self.norm = int(convolutions == "same"), norm

    def __call__(self, in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            ConvBlock(in_channels, out_channels, padding=self.padding, norm=self.norm),
            ConvBlock(out_channels, out_channels, padding=self.padding, norm=self.norm),
        )


def _backbone(name: str, in_channels: int, depth: int) -> tuple[Backbone, list[Level]]:
    """The layers of a classifier up to the stride 2^depth, and the levels of its maps."""
    native = MODELS.facts(name).native.height if name in MODELS else NATIVE
    side = max(1, native >> depth) << depth  # so that strides are those of the padded convolutions
    shape = ImageShape(in_channels, side, side)
    return make_backbone(name, build_model(name, shape, 2, **transfer_options(name)), shape, 2**depth)


def _decoder(levels: list[Level], width: int, block: _Blocks, upsampling: Upsampling) -> list[nn.Module]:
    """The blocks from the bottom to the top; the last has `width` channels at the size of the image."""
    skipped = [width, *(level.channels for level in levels[:-1])]
    strides = [1, *(level.stride for level in levels)]
    decoder: list[nn.Module] = []
    below = levels[-1].channels
    for place in reversed(range(len(levels))):
        above = width * 2 ** max(0, place - 1)
        up = _raise(below, above, upsampling, strides[place + 1] // strides[place])
        decoder.append(UpBlock(up, block(above + skipped[place], above)))
        below = above
    return decoder


def _raise(in_channels: int, out_channels: int, upsampling: Upsampling, factor: int = 2) -> nn.Module:
    if upsampling == "transposed":
        return UpConv2d(in_channels, out_channels, factor, stride=factor)
    return nn.Sequential(nn.Upsample(scale_factor=factor), nn.Conv2d(in_channels, out_channels, 1))


def _sizes(depth: int, convolutions: Convolutions) -> Sizes:
    """The image sizes that the network takes; at level l a pixel covers 2^l pixels of the image."""
    reach = 12 * 2**depth - 8  # 4 pixels at every level on the way down and up, and at the bottom
    if convolutions == "valid":
        return Sizes(multiple=2**depth, remainder=-4 % 2**depth, shrink=reach, context=0)
    return Sizes(multiple=2**depth, context=reach // 2 + 2**depth)
