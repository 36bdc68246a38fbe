"""Networks from patterns: [(CONV-RELU)*2-POOL]*3-(FC-RELU)*1-SOFTMAX."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from torch import nn

from convnet.errors import ModelError
from convnet.layers import Conv2d, Dropout, FlattenLinear, classifier_of, initialize, make_activation
from convnet.layers.arithmetic import output_size
from convnet.layers.init import InitName
from convnet.models.grammar.parse_pattern import Layer, parse, pointed
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction, Odd
from convnet.types import ImageShape

DEFAULT = "[(CONV-RELU)*2-POOL]*3-(FC-RELU)*1-SOFTMAX"
WIDEST = 8
"""Convolutions without a number get at most this many times the first width."""


def _well_formed(text: str) -> str:
    parse(text)
    return text


Pattern = Annotated[str, AfterValidator(_well_formed)]


@network(
    "pattern",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=8,
        parameters=814_122,
        source="the lectures",
    ),
)
def pattern(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    layers: Pattern = DEFAULT,
    width: Count = 32,
    kernel_size: Odd = 3,
    hidden: Count = 256,
    dropout: Fraction = 0.5,
    init: InitName = "he",
) -> nn.Module:
    """A network from a pattern like [(CONV-RELU)*2-POOL]*3-(FC-RELU)*1-SOFTMAX.

    `--model "[(CONV64-RELU)*2-POOL]*2-FC256-RELU-SOFTMAX"` is short for this network with these `layers`.
    CONV keeps the size; CONV10x5s2p1 has ten filters of 5×5, stride 2 and padding 1. POOL is 2×2 with
    stride 2; POOL3s2 is 3×3 with stride 2; POOL? is left out where the maps are smaller. SOFTMAX, the last
    layer, is a dense layer with one logit per class (the softmax is part of the loss). RELU, TANH, SIGMOID,
    ELU, BN (batch norm) and DROPOUT are also available. (…)*3 and […]*3 repeat layers. Recipe
    `pattern-mnist`.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        layers: The pattern.
        width: The filters of CONV without a number, doubled by every POOL up to eight times.
        kernel_size: The side of the kernels.
        hidden: The units of FC without a number.
        dropout: The probability of DROPOUT.
        init: The initializer.
    """
    sketch = _Sketch(layers, in_channels, image_size)
    for layer in parse(layers):
        match layer.name:
            case "CONV":
                filters = layer.number or width * min(2**sketch.pools, WIDEST)
                sketch.convolution(layer, filters, layer.kernel_size or kernel_size)
            case "POOL":
                sketch.pool(layer)
            case "FC":
                sketch.dense(layer.number or hidden)
            case "SOFTMAX":
                sketch.dense(num_classes)
            case "BN":
                sketch.batch_norm()
            case "DROPOUT":
                sketch.modules.append(Dropout(dropout))
            case activation:
                sketch.modules.append(make_activation(activation.lower()))
    first = next(i for i, layer in enumerate(sketch.modules) if isinstance(layer, FlattenLinear))
    features, head = sketch.modules[:first], sketch.modules[first:]
    return initialize(classifier_of(nn.Sequential(*features), *head), init)


class _Sketch:
    """The layers so far and their output shape: C×H×W, or units after a dense layer."""

    def __init__(self, text: str, in_channels: int, image_size: tuple[int, int]) -> None:
        self.text, self.image_size = text, image_size
        self.channels = in_channels
        self.size: tuple[int, int] | None = image_size
        self.pools = 0
        self.modules: list[nn.Module] = []

    def convolution(self, layer: Layer, filters: int, kernel_size: int) -> None:
        if self.size is None:
            raise self._refusal(layer, "CONV cannot follow FC")
        stride = layer.stride or 1
        if layer.padding is None:
            padding: str | int = "same"
            size = tuple(-(-side // stride) for side in self.size)
        else:
            padding = layer.padding
            self._require_room(layer, kernel_size, padding)
            size = tuple(output_size(side, kernel_size, stride, padding) for side in self.size)
        self.modules.append(Conv2d(self.channels, filters, kernel_size, stride=stride, padding=padding))
        self.channels, self.size = filters, (size[0], size[1])

    def pool(self, layer: Layer) -> None:
        if self.size is None:
            raise self._refusal(layer, "POOL cannot follow FC")
        window, padding = layer.number or 2, layer.padding or 0
        if layer.optional and min(self.size) + 2 * padding < window:
            return
        if 2 * padding > window:
            raise self._refusal(layer, f"the padding of a pool is at most half of its window of {window}")
        self._require_room(layer, window, padding)
        stride = layer.stride or window
        self.modules.append(nn.MaxPool2d(window, stride, padding))
        height, width = (output_size(side, window, stride, padding) for side in self.size)
        self.size = (height, width)
        self.pools += 1

    def _require_room(self, layer: Layer, window: int, padding: int) -> None:
        """Check that a window fits the maps."""
        assert self.size is not None
        if min(self.size) + 2 * padding >= window:
            return
        (height, width), (rows, columns) = self.image_size, self.size
        raise self._refusal(
            layer,
            f"images of {height}×{width} are reduced to {rows}×{columns} here, too small for a "
            f"{window}×{window} {layer.name}; {self._way_out(layer)}",
        )

    def _way_out(self, layer: Layer) -> str:
        if layer.name == "CONV":
            return "use larger images, a smaller kernel or more padding"
        if layer.number in (None, 2) and not layer.stride:
            least = 2 ** (self.pools + 1)
            return f"use images of at least {least}×{least}, fewer pools, or POOL?"
        return "use larger images, fewer pools, or POOL?"

    def dense(self, units: int) -> None:
        if self.size is None:
            self.modules.append(nn.Linear(self.channels, units))
        else:
            self.modules.append(FlattenLinear((self.channels, *self.size), units))
        self.channels, self.size = units, None

    def batch_norm(self) -> None:
        norm = nn.BatchNorm1d if self.size is None else nn.BatchNorm2d
        self.modules.append(norm(self.channels))

    def _refusal(self, layer: Layer, message: str) -> ModelError:
        return ModelError(pointed(self.text, layer.place, f"model pattern: {message}"))
