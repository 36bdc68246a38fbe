"""Receptive fields of a network's layers: the theoretical one, and the effective one by gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.analysis import summary
from convnet.analysis.table import Layer
from convnet.concepts.concept import table
from convnet.errors import ModelError
from convnet.layers.evaluating import evaluating
from convnet.registry import nearest

MOST_LAYERS = 12
"""The largest number of layers that are measured, if none are named."""
DRAWS = 4
"""The number of random combinations of channels over which a gradient is averaged."""
THRESHOLD = 0.0455
"""The share of the largest gradient from which a pixel belongs to the effective field (Luo et al. 2016)."""


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of the central unit of one layer.

    Attributes:
        layer: The name of the layer.
        type: Its class.
        size: Height and width in pixels of the input.
        rows: The first and the last row, which may lie outside the image.
        columns: The first and the last column.
        gradient: The root mean square gradient of the unit with respect to every pixel, H×W.
    """

    layer: str
    type: str
    size: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    gradient: NDArray[Any]

    @property
    def effective(self) -> float:
        """The side of a square with as many pixels as have at least 4.55% of the largest gradient."""
        largest = self.gradient.max()
        return math.sqrt(float((self.gradient >= THRESHOLD * largest).sum())) if largest else 0.0

    @property
    def inside(self) -> tuple[int, int]:
        """Height and width of the part within the image."""
        height, width = self.gradient.shape
        (top, bottom), (left, right) = self.rows, self.columns
        return min(bottom, height - 1) - max(top, 0) + 1, min(right, width - 1) - max(left, 0) + 1


@dataclass(frozen=True)
class ReceptiveFields:
    """The receptive fields of the layers of a network for one image.

    Attributes:
        image: The input as numbers, C×H×W.
        fields: In the order of the layers.
    """

    image: Tensor
    fields: tuple[ReceptiveField, ...]

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain values."""
        return {
            "image": list(self.image.shape),
            "layers": [
                {
                    "layer": field.layer,
                    "type": field.type,
                    "size": list(field.size),
                    "rows": list(field.rows),
                    "columns": list(field.columns),
                    "effective": field.effective,
                }
                for field in self.fields
            ],
        }

    def __str__(self) -> str:
        rows = [("layer", "type", "theoretical", "in the image", "effective")]
        for field in self.fields:
            sizes = ("×".join(map(str, field.size)), "×".join(map(str, field.inside)))
            rows.append((field.layer, field.type, *sizes, f"{field.effective:.1f}"))
        return table(rows)


def receptive_fields(
    model: nn.Module, image: Float[Tensor, "C H W"], layers: Sequence[str] | None = None
) -> ReceptiveFields:
    """Measure the receptive field of the central unit of layers.

    The theoretical field holds every pixel that can change the unit. The effective field holds those that do:
    the gradient of the unit is measured, as the root mean square over four random combinations of channels.

    Args:
        model: The network; run in evaluation mode and left unchanged.
        image: The input as the network takes it.
        layers: Names of layers. Default: up to twelve layers with maps, evenly spaced.

    Returns:
        The fields.

    Raises:
        ModelError: The network does not fit the image, or a layer has no maps.
    """
    known = {
        layer.name: layer
        for layer in summary(model, tuple(image.shape)).layers
        if layer.output is not None and len(layer.output) == 3 and layer.receptive_field and layer.jump
    }
    known = {name: layer for name, layer in known.items() if name in dict(model.named_modules())}
    if not known:
        raise ModelError("the network has no layer with maps whose receptive field is known")
    windows = [name for name, layer in known.items() if layer.window and max(layer.own_field or (1,)) > 1]
    chosen = list(layers) if layers else _spaced(windows or list(known))
    for name in chosen:
        if name not in known:
            raise ModelError(f"no layer '{name}' with maps{nearest(name, known)}")
    gradients = _gradients(model, image, chosen)
    return ReceptiveFields(image, tuple(_field(known[name], gradients[name]) for name in chosen))


def _spaced(names: list[str]) -> list[str]:
    """At most twelve names, evenly spaced, the first and the last among them."""
    count = min(MOST_LAYERS, len(names))
    places = {round(i * (len(names) - 1) / max(1, count - 1)) for i in range(count)}
    return [names[place] for place in sorted(places)]


def _field(layer: Layer, gradient: NDArray[Any]) -> ReceptiveField:
    assert layer.output and layer.receptive_field and layer.jump and layer.offset
    ends = []
    for side in range(2):
        center = layer.offset[side] + (layer.output[1 + side] // 2) * layer.jump[side]
        first = math.ceil(center - (layer.receptive_field[side] - 1) / 2)
        ends.append((first, first + layer.receptive_field[side] - 1))
    height, width = layer.receptive_field
    return ReceptiveField(layer.name, layer.type, (height, width), ends[0], ends[1], gradient)


def _gradients(model: nn.Module, image: Tensor, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """For every layer the gradient of its central unit with respect to the pixels, H×W."""
    kept: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            kept[name] = output.clone()  # the next layer may work in place

        return hook

    hooks = [modules[name].register_forward_hook(keep(name)) for name in names]
    x = image.detach()[None].float().requires_grad_()
    try:
        with evaluating(model), torch.enable_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name in names:
        maps = kept[name]
        unit = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2]
        total = torch.zeros(image.shape[1:])
        for _ in range(DRAWS):
            signs = torch.randint(0, 2, unit.shape, generator=generator) * 2.0 - 1
            (gradient,) = torch.autograd.grad(unit, x, signs, retain_graph=True)
            total += gradient[0].square().mean(0)
        found[name] = (total / DRAWS).sqrt().numpy()
    return found
