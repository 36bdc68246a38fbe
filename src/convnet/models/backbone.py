"""The layers of a classifier in front of its global pool, as the encoder of another network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

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
        """The last maps of every resolution, N×C×H×W, from half of the image to the smallest."""
        found: list[Tensor] = []
        image = x
        for child in self.children():
            for layer in layers_of(child):
                maps = layer(x)
                if maps.shape[-2:] != x.shape[-2:] and x is not image:
                    found.append(x)
                x = maps
        return [*found, x]


def make_backbone(network: nn.Module, shape: ImageShape, depth: int) -> tuple[Backbone, list[int]]:
    """The layers of a classifier up to maps that are 2^`depth` times smaller than the image.

    Args:
        network: The classifier.
        shape: The shape of its images.
        depth: The number of halvings.

    Returns:
        The backbone, and the channels of its maps.

    Raises:
        ModelError: The classifier does not halve its maps so often.
    """
    kept: list[Named] = []
    channels: list[int] = []
    maps = torch.empty(2, *shape, device="meta")
    for name, layer in _features(network):
        made = _maps_behind(layer, maps)
        if made is None or shape.height / made.shape[2] > 2**depth:
            break
        if made.shape[2] < maps.shape[2] and kept:
            channels.append(maps.shape[1])
        kept.append((name, layer))
        maps = made
    channels.append(maps.shape[1])
    if len(channels) != depth:
        raise ModelError(
            f"{type(network).__name__} halves its maps {len(channels)} times, not {depth} times; use "
            f"--set model.depth={len(channels)}"
        )
    return Backbone(OrderedDict(nest(kept).named_children())), channels


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
