"""Convert a classifier into a fully convolutional network, which maps larger images to maps of logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.layers import FlattenLinear
from convnet.layers.dropout import Dropout
from convnet.meta import MetaMode, on_meta
from convnet.models.backbone import Named, named_layers
from convnet.types import ImageShape

Sides = tuple[int, int]

FAR = 512
"""A size in pixels that is a multiple of every stride."""


@dataclass(frozen=True)
class Dense:
    """A classifier as a fully convolutional network.

    Attributes:
        network: N×C×H×W → N×K×I×J, logits for every window.
        window: Height and width of a window in pixels.
        stride: Pixels between neighboring windows.
        padded: Whether the classifier pads with zeros. The map then differs from single windows, which have
            zeros at their borders where a larger image has pixels.
    """

    network: nn.Sequential
    window: Sides
    stride: int
    padded: bool


def fully_convolutional(network: nn.Module, shape: ImageShape) -> Dense:
    """Convert a classifier, with its weights, for images of its own size or larger.

    Dense layers become convolutions that cover their input maps; global pools become pools over windows.

    Args:
        network: The classifier.
        shape: The shape of its images.

    Returns:
        The fully convolutional network and the geometry of its windows.

    Raises:
        ModelError: A layer depends on the image size in another way.
    """
    layers = [layer for _, layer in _converted(network, shape, whole=False)]
    dense = nn.Sequential(*layers).eval()
    padded = any(_pads(layer) for layer in dense.modules())
    return Dense(dense, (shape.height, shape.width), stride_of(dense, shape), padded)


def as_dense_layers(network: nn.Module, shape: ImageShape) -> list[Named]:
    """The named layers of a classifier without its global pool and with padded dense layers.

    They map an image to logits at the stride of the last maps.

    Raises:
        ModelError: As for `fully_convolutional`.
    """
    return list(_converted(network, shape, whole=True))


def _converted(network: nn.Module, shape: ImageShape, *, whole: bool) -> Iterator[Named]:
    """The named layers in order; `whole` keeps the size of the last maps instead of one score per window."""
    maps = torch.empty(2, *shape, device="meta")
    flat: Sides | None = None  # the maps that the next dense layer covers
    for name, layer in named_layers(network):
        if flat is None and isinstance(layer, nn.Flatten):
            flat = (maps.shape[2], maps.shape[3])
            continue
        if flat is None and isinstance(layer, FlattenLinear):
            yield name, _convolution(layer, layer.templates(), whole)
            flat = (1, 1)
        elif flat is not None and isinstance(layer, nn.Linear):
            channels = layer.in_features // (flat[0] * flat[1])
            yield name, _convolution(layer, layer.weight.unflatten(1, (channels, *flat)), whole)
            flat = (1, 1)
        elif flat is not None and isinstance(layer, nn.BatchNorm1d):
            yield name, _as_2d(layer)
        elif flat is not None and not _pointwise(layer):
            raise ModelError(f"{type(layer).__name__} after a dense layer cannot become a convolution")
        elif flat is None and isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            side = (maps.shape[2], maps.shape[3])
            if layer.output_size not in (1, (1, 1)):
                raise ModelError(f"{layer} depends on the image size; only global pools can be converted")
            if not whole:
                mean = isinstance(layer, nn.AdaptiveAvgPool2d)
                yield name, nn.AvgPool2d(side, stride=1) if mean else nn.MaxPool2d(side, stride=1)
            maps = maps[:, :, :1, :1]
        else:
            yield name, layer
            if flat is None:
                maps = _shape_behind(layer, maps)
    if flat is None:
        raise ModelError(
            f"{type(network).__name__} does not end in a dense layer that can become a convolution"
        )


def _shape_behind(layer: nn.Module, maps: Tensor) -> Tensor:
    try:
        with MetaMode(), torch.no_grad():
            out: Tensor = on_meta(layer).eval()(maps)
    except Exception as error:
        raise ModelError(f"{type(layer).__name__} cannot become a convolution") from error
    if out.dim() != 4:
        raise ModelError(f"{type(layer).__name__} turns maps into vectors; it cannot become a convolution")
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
    """The number of pixels by which the image must grow for one more position in the map.

    Raises:
        ModelError: The output does not grow with the image.
    """
    near, far = (_places(dense, shape, shape.height + n * FAR) for n in (1, 2))
    if far == near:
        raise ModelError("the output of the network does not grow with the image")
    return round(FAR / (far - near))


def margin_of(dense: nn.Module, shape: ImageShape, stride: int) -> int:
    """The number of pixels of a side that the map does not cover, because convolutions are not padded."""
    side = -(-(shape.height + FAR) // stride) * stride
    return max(0, side - stride * _places(dense, shape, side))


def _places(dense: nn.Module, shape: ImageShape, side: int) -> int:
    with MetaMode(), torch.no_grad():
        maps: Tensor = on_meta(dense)(torch.empty(1, shape.channels, side, shape.width, device="meta"))
    return maps.shape[2]
