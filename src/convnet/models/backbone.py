"""The layers of a classifier in front of its global pool, as the encoder of another network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.layers import Classifier, Network, layers_of
from convnet.meta import MetaMode, on_meta
from convnet.types import ImageShape

Named = tuple[str, nn.Module]


class Backbone(nn.Sequential):
    """The layers of a classifier, with their names, up to maps at a given stride."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """The last maps N×C×H×W of every resolution below that of the image, largest first."""
        found: list[Tensor] = []
        whole = x.shape[-2:]
        for child in self.children():
            for layer in layers_of(child):
                maps = layer(x)
                if maps.shape[-2:] != x.shape[-2:] and x.shape[-2:] != whole:
                    found.append(x)
                x = maps
        return [*found, x]


class Level(NamedTuple):
    """The maps of one resolution: their channels, and the pixels of the image per position."""

    channels: int
    stride: int


def make_backbone(
    name: str, network: nn.Module, shape: ImageShape, stride: int
) -> tuple[Backbone, list[Level]]:
    """The layers of a classifier up to its last maps of a stride.

    Args:
        name: The name of the classifier.
        network: The classifier.
        shape: The shape of its images.
        stride: The stride of the last maps.

    Returns:
        The backbone, and the levels of its maps, largest first.

    Raises:
        ModelError: The classifier has no maps of that stride.
    """
    kept: list[Named] = []
    levels: list[Level] = []
    maps = torch.empty(2, *shape, device="meta")
    for path, layer in _features(network):
        made = _maps_behind(layer, maps)
        if made is None or shape.height > stride * made.shape[2]:
            break
        if made.shape[2] < maps.shape[2] < shape.height:
            levels.append(Level(maps.shape[1], shape.height // maps.shape[2]))
        kept.append((path, layer))
        maps = made
    levels.append(Level(maps.shape[1], shape.height // maps.shape[2]))
    strides = [level.stride for level in levels]
    if strides[-1] != stride or any(b % a for a, b in pairwise(strides)):
        found = ", ".join(map(str, strides))
        raise ModelError(
            f"model.encoder={name} has maps of the strides {found}, but the encoder of a U-Net ends with the "
            f"stride {stride} (2^model.depth); use a network with padded convolutions, e.g. "
            f"--set model.encoder=efficientnet-lite0{_fitting_depth(strides)}"
        )
    return Backbone(OrderedDict(nest(kept).named_children())), levels


def _fitting_depth(strides: list[int]) -> str:
    """The end of a message: the depth of a U-Net that ends with these strides; empty if there is none."""
    last = strides[-1]
    fits = last > 1 and last.bit_count() == 1 and not any(b % a for a, b in pairwise(strides))
    return f", or --set model.depth={last.bit_length() - 1}" if fits else ""


def _features(network: nn.Module) -> Iterator[Named]:
    """The named layers of a classifier, without its head."""
    head = network.head_name if isinstance(network, Classifier) else None
    return (named for named in named_layers(network) if named[0].partition(".")[0] != head)


def _maps_behind(layer: nn.Module, maps: Tensor) -> Tensor | None:
    """The shape of the maps behind a layer; None if it makes vectors of them, or a single value of each."""
    if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d | nn.Flatten | nn.Linear):
        return None
    try:
        with MetaMode(), torch.no_grad():
            made: Tensor = on_meta(layer).eval()(maps)
    except Exception:  # dense layers in forms of their own
        return None
    return made if made.dim() == 4 else None


def named_layers(network: nn.Module, prefix: str = "") -> Iterator[Named]:
    """The layers of nested sequences in order, as `layers_of`, each with its dotted name."""
    plain = type(network).forward is nn.Sequential.forward
    if not (plain or isinstance(network, Classifier | Network)):
        yield prefix.removesuffix("."), network
        return
    children = list(network.named_children())
    if isinstance(network, Classifier):
        order = [id(layer) for layer in network.sequence()]
        children = sorted((c for c in children if id(c[1]) in order), key=lambda c: order.index(id(c[1])))
    for name, child in children:
        yield from named_layers(child, f"{prefix}{name}.")


def nest(layers: Iterable[Named]) -> nn.Sequential:
    """Nested sequences of layers with dotted names."""
    root = nn.Sequential()
    for name, layer in layers:
        *parents, last = name.split(".")
        place = root
        for parent in parents:
            if parent not in place._modules:
                place.add_module(parent, nn.Sequential())
            inner = place._modules[parent]
            assert isinstance(inner, nn.Sequential)
            place = inner
        place.add_module(last, layer)
    return root
