"""Autoencoders, fully connected and convolutional."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from convnet.layers import ConvBlock, FlattenLinear, Sizes, initialize, make_activation
from convnet.layers.activations import ActivationName
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count
from convnet.types import ImageShape

SMALLEST_MAP = 4
MOST_HALVINGS = 4


class Autoencoder(nn.Sequential):
    """An `encoder` N×C×H×W → N×D, and a `decoder` and a `head` N×D → N×C×H×W; images have values 0…1."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, image_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.sizes = Sizes(fixed=image_size)
        self.encoder = encoder
        self.decoder = decoder
        self.head = head

    def embed(self, x: Tensor) -> Tensor:
        """The code, N×C×H×W → N×D."""
        codes: Tensor = self.encoder(x)
        return codes


@network(
    "dense-autoencoder",
    Facts(
        native=ImageShape(1, 28, 28),
        num_classes=1,
        smallest=1,
        parameters=944_176,
        source="Hinton and Salakhutdinov 2006",
        targets=("image",),
    ),
)
def dense_autoencoder(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    code: Count = 32,
    hidden: tuple[Count, ...] = (512, 128),
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """A fully connected autoencoder (Hinton and Salakhutdinov 2006).

    Without hidden layers and with squared error it finds the span of the first principal components.

    Args:
        in_channels: Channels of the images.
        num_classes: Channels of the output.
        image_size: Height and width.
        code: The size of the code.
        hidden: The widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: The activation.
        init: The initializer.
    """
    pixels = math.prod(image_size)
    down = _dense([in_channels * pixels, *hidden, code], activation)
    *up, last = _dense([code, *reversed(hidden), num_classes * pixels], activation)
    encoder, decoder = nn.Sequential(nn.Flatten(), *down), nn.Sequential(*up)
    head = nn.Sequential(last, nn.Unflatten(1, (num_classes, *image_size)))
    return initialize(Autoencoder(encoder, decoder, head, image_size), init)


@network(
    "conv-autoencoder",
    Facts(
        native=ImageShape(1, 28, 28),
        num_classes=1,
        smallest=4,
        parameters=1_042_401,
        source="Masci et al. 2011",
        targets=("image",),
    ),
)
def conv_autoencoder(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    code: Count = 32,
    width: Count = 32,
    activation: ActivationName = "relu",
    init: InitName = "he",
) -> nn.Module:
    """A convolutional autoencoder: strided convolutions and a dense layer, and the reverse.

    Each halving doubles the width, at most four times, while maps have at least four pixels a side. The
    decoder doubles the maps by nearest neighbors and convolutions.

    Args:
        in_channels: Channels of the images.
        num_classes: Channels of the output.
        image_size: Height and width.
        code: The size of the code.
        width: The channels of the first convolution.
        activation: The activation.
        init: The initializer.
    """
    sizes, widths = [image_size], [width]
    while min(sizes[-1]) >= 2 * SMALLEST_MAP - 1 and len(sizes) <= MOST_HALVINGS:
        height, breadth = sizes[-1]
        sizes.append(((height + 1) // 2, (breadth + 1) // 2))
        widths.append(2 * widths[-1])
    down: list[nn.Module] = [ConvBlock(in_channels, widths[0], activation=activation)]
    for before, after in pairwise(widths):
        down.append(ConvBlock(before, after, stride=2, activation=activation))
    bottom = (widths[-1], *sizes[-1])
    up: list[nn.Module] = [
        nn.Linear(code, math.prod(bottom)),
        make_activation(activation),
        nn.Unflatten(1, bottom),
    ]
    for place in reversed(range(len(sizes) - 1)):
        up += [
            nn.Upsample(size=sizes[place]),
            ConvBlock(widths[place + 1], widths[place], activation=activation),
        ]
    encoder = nn.Sequential(*down, FlattenLinear(bottom, code))
    head = nn.Conv2d(widths[0], num_classes, 3, padding=1)
    return initialize(Autoencoder(encoder, nn.Sequential(*up), head, image_size), init)


def _dense(widths: list[int], activation: ActivationName) -> list[nn.Module]:
    """Linear layers from width to width, with activations between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), make_activation(activation)]
    return layers[:-1]
