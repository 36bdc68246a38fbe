"""A classifier read as convolutions (M26, M31): over a larger image it gives a map of class scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.layers import FlattenLinear, layers_of
from convnet.layers.dropout import Dropout
from convnet.meta import MetaMode, on_meta
from convnet.types import ImageShape

Sides = tuple[int, int]

FAR = 512
"""A multiple of every stride, in pixels."""


@dataclass(frozen=True)
class Dense:
    """A classifier as convolutions: `network` N×C×H×W → N×K×I×J, a score for every window of `window` pixels.

    Windows lie `stride` pixels apart. `padded`: the classifier pads with zeros, which its own windows show
    at their borders, while a larger image shows its pixels there; only without is the map exactly that of
    all windows.
    """

    network: nn.Sequential
    window: Sides
    stride: int
    padded: bool


def fully_convolutional(network: nn.Module, shape: ImageShape) -> Dense:
    """The same weights for images of any size from `shape` on, the classifier's own.

    Dense layers become convolutions that cover the map they were fed, global pools become pools over windows.

    Raises:
        ModelError: a layer depends on the size of the image in another way.
    """
    layers = list(_converted(network, shape, whole=False))
    dense = nn.Sequential(*layers).eval()
    padded = any(_pads(layer) for layer in dense.modules())
    return Dense(dense, (shape.height, shape.width), stride_of(dense, shape), padded)


def as_dense_network(network: nn.Module, shape: ImageShape) -> nn.Sequential:
    """The classifier without its global mean, its dense layers padded: logits at the stride of its last maps.

    Raises:
        ModelError: as `fully_convolutional`.
    """
    return nn.Sequential(*_converted(network, shape, whole=True))


def _converted(network: nn.Module, shape: ImageShape, *, whole: bool) -> Iterator[nn.Module]:
    """The layers in order; `whole` keeps the size of the last maps instead of one score per window."""
    maps = torch.empty(2, *shape, device="meta")
    flat: Sides | None = None  # the maps that the next dense layer covers
    for layer in layers_of(network):
        if flat is None and isinstance(layer, nn.Flatten):
            flat = (maps.shape[2], maps.shape[3])
            continue
        if flat is None and isinstance(layer, FlattenLinear):
            yield _convolution(layer, layer.templates(), whole)
            flat = (1, 1)
        elif flat is not None and isinstance(layer, nn.Linear):
            channels = layer.in_features // (flat[0] * flat[1])
            yield _convolution(layer, layer.weight.unflatten(1, (channels, *flat)), whole)
            flat = (1, 1)
        elif flat is not None and isinstance(layer, nn.BatchNorm1d):
            yield _as_2d(layer)
        elif flat is not None and not _pointwise(layer):
            raise ModelError(f"{type(layer).__name__} behind a dense layer cannot be read as a convolution")
        elif flat is None and isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            side = (maps.shape[2], maps.shape[3])
            if layer.output_size not in (1, (1, 1)):
                raise ModelError(
                    f"{layer} depends on the size of the image; only a global one can be converted"
                )
            if not whole:
                mean = isinstance(layer, nn.AdaptiveAvgPool2d)
                yield nn.AvgPool2d(side, stride=1) if mean else nn.MaxPool2d(side, stride=1)
            maps = maps[:, :, :1, :1]
        else:
            yield layer
            if flat is None:
                maps = _shape_behind(layer, maps)
    if flat is None:
        raise ModelError(
            f"{type(network).__name__} has no dense layer at its end to be read as a convolution"
        )


def _shape_behind(layer: nn.Module, maps: Tensor) -> Tensor:
    try:
        with MetaMode(), torch.no_grad():
            out: Tensor = on_meta(layer).eval()(maps)
    except Exception as error:
        raise ModelError(f"{type(layer).__name__} cannot be read as a convolution") from error
    if out.dim() != 4:
        raise ModelError(
            f"{type(layer).__name__} turns maps into numbers; it cannot be read as a convolution"
        )
    return out


def _convolution(layer: nn.Linear, weight: Tensor, whole: bool) -> nn.Conv2d:
    """The dense layer as a convolution whose kernel covers the maps, D×C×h×w."""
    outputs, channels, height, width = weight.shape
    padding = (height // 2, width // 2) if whole else 0
    conv = nn.Conv2d(channels, outputs, (height, width), padding=padding, bias=layer.bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone())
    if layer.bias is not None:
        conv.bias = nn.Parameter(layer.bias.detach().clone())
    return conv


def _as_2d(layer: nn.BatchNorm1d) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine)
    norm.load_state_dict(layer.state_dict())
    return norm


def _pointwise(layer: nn.Module) -> bool:
    return isinstance(layer, Dropout | nn.Identity) or not any(True for _ in layer.parameters())


def _pads(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return False
    return layer.padding not in (0, (0, 0)) or getattr(layer, "pads_by_purpose", False)


def stride_of(dense: nn.Module, shape: ImageShape) -> int:
    """How many pixels more make the map one place larger, once rounding at the end is evened out.

    Raises:
        ModelError: the network gives one score however large the image is.
    """
    near, far = (_places(dense, shape, shape.height + n * FAR) for n in (1, 2))
    if far == near:
        raise ModelError("the network gives one score however large the image is")
    return round(FAR / (far - near))


def margin_of(dense: nn.Module, shape: ImageShape, stride: int) -> int:
    """How many pixels of a side the map does not show, because convolutions are not padded."""
    side = -(-(shape.height + FAR) // stride) * stride
    return max(0, side - stride * _places(dense, shape, side))


def _places(dense: nn.Module, shape: ImageShape, side: int) -> int:
    with MetaMode(), torch.no_grad():
        maps: Tensor = on_meta(dense)(torch.empty(1, shape.channels, side, shape.width, device="meta"))
    return maps.shape[2]
