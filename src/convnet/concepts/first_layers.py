"""What the first layers of networks compare an image with: templates and filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from convnet.concepts.concept import table
from convnet.errors import ModelError
from convnet.layers import FlattenLinear

MOST = 100
"""The largest number of templates or filters of a network that are shown, those of largest norm."""


@dataclass(frozen=True)
class FirstLayer:
    """The weights of the first layer of a network as images.

    Attributes:
        network: The name of the network.
        layer: The name of the layer.
        is_template: Whether each is as large as the image.
        weights: D×C×H×W.
        labels: The names of the classes, if each weight image belongs to a class; else empty.
    """

    network: str
    layer: str
    is_template: bool
    weights: Tensor
    labels: tuple[str, ...]

    @property
    def noun(self) -> str:
        """What the images are."""
        return "templates" if self.is_template else "filters"


@dataclass(frozen=True)
class FirstLayers:
    """The first layers of several networks."""

    layers: tuple[FirstLayer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Shapes and norms as plain values."""
        return {
            "layers": [
                {
                    "network": found.network,
                    "layer": found.layer,
                    "kind": found.noun,
                    "shape": list(found.weights.shape),
                    "norms": found.weights.flatten(1).norm(dim=1).tolist(),
                }
                for found in self.layers
            ]
        }

    def __str__(self) -> str:
        rows = [("network", "layer", "weights", "kind")]
        for found in self.layers:
            rows.append((found.network, found.layer, "×".join(map(str, found.weights.shape)), found.noun))
        return table(rows)


def first_layers(
    networks: Mapping[str, nn.Module], classes: Mapping[str, tuple[str, ...]] | None = None
) -> FirstLayers:
    """Find the first layer with weights of every network: a convolution or a dense layer over pixels.

    Args:
        networks: Networks without their normalization, by name.
        classes: The names of their classes, by the name of the network.

    Returns:
        The weights as images.

    Raises:
        ModelError: The first layer of a network is neither.
    """
    found = [_first(name, network, (classes or {}).get(name, ())) for name, network in networks.items()]
    if not found:
        raise ModelError("there is no network to show")
    return FirstLayers(tuple(found))


def _first(name: str, network: nn.Module, classes: tuple[str, ...]) -> FirstLayer:
    leaves = [(key, part) for key, part in network.named_modules() if not any(True for _ in part.children())]
    weighted = [(key, part) for key, part in leaves if any(True for _ in part.parameters())]
    if weighted:
        key, layer = weighted[0]
        if isinstance(layer, FlattenLinear):
            labels = classes if len(weighted) == 1 else ()
            return FirstLayer(name, key or "the network", True, layer.templates().detach(), labels)
        if isinstance(layer, nn.Conv2d):
            return FirstLayer(name, key or "the network", False, layer.weight.detach(), ())
    raise ModelError(
        f"{name}: its first layer with weights is no convolution of an image and no dense layer over one"
    )
