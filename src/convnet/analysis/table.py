"""The rows and totals of a layer table (M82)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.analysis.trace import total
from convnet.analysis.window import Window

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Layer:
    """A row of the table: a layer, or a block with the layers `inside` of it.

    Shapes are C×H×W, without the batch. `activation_bytes` is new memory for one input: 0 for a layer that
    works in place or only looks at its input in another shape. `receptive_field`, `jump` and `offset` are in
    input pixels, one number a side: the size of what one place of the output depends on, the distance between
    neighbouring places, and the centre of the first place's field, where 0 is the centre of the first pixel.
    A jump of 0 means that all places see the same. `own_field` is the size in the layer's own input. None
    stands for what cannot be known; a field of no sides is that of an input without sides. `is_chain` says of
    a block that every layer inside takes what the one before it gives: it has no branches.
    """

    name: str
    type: str
    input: tuple[int, ...]
    output: tuple[int, ...] | None
    window: Window | None
    parameters: int
    trainable: int
    activation_bytes: int
    macs: int | None
    receptive_field: tuple[int, ...] | None
    jump: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    own_field: tuple[int, ...] | None
    inside: tuple[Layer, ...]
    is_chain: bool
    note: str | None

    def leaves(self) -> Iterator[Layer]:
        """The layers without any inside, in the order in which they run."""
        if not self.inside:
            yield self
        for layer in self.inside:
            yield from layer.leaves()

    def notes(self) -> list[str]:
        """What the arithmetic has to say of the layers inside."""
        return [f"layer '{layer.name}' ({layer.type}): {layer.note}" for layer in self.leaves() if layer.note]


@dataclass(frozen=True)
class LayerTable:
    """The layer table of a network for inputs of one shape.

    `parameters` counts every parameter once, those `unused` by an evaluation included; `forward_bytes` and
    `training_bytes` are the memory of a forward pass and of a training step with Adam, for `batch_size`
    inputs, with the inputs and the weights.
    """

    model: str
    input: tuple[int, ...]
    batch_size: int
    root: Layer
    parameters: int
    trainable: int
    unused: dict[str, int]
    weight_bytes: int
    forward_bytes: int
    training_bytes: int | None

    @property
    def layers(self) -> list[Layer]:
        """The innermost layers, in the order in which they run."""
        return list(self.root.leaves())

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates for one input; None where those of a layer are not known."""
        return total(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """New memory of all layers together, for one input."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def notes(self) -> list[str]:
        """What the arithmetic has to say: strides that do not fit."""
        return self.root.notes()

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON has it: the innermost layers, and the totals.

        Where all sides agree, one number stands for them. "unknown" is what cannot be known, null what does
        not apply.
        """
        return {
            "model": self.model,
            "input": list(self.input),
            "batch_size": self.batch_size,
            "layers": [_row(layer) for layer in self.layers],
            "total": {
                "parameters": self.parameters,
                "trainable": self.trainable,
                "unused": self.unused,
                "activation_bytes": self.activation_bytes,
                "macs": UNKNOWN if self.macs is None else self.macs,
                "weight_bytes": self.weight_bytes,
                "forward_bytes": self.forward_bytes,
                "training_bytes": UNKNOWN if self.training_bytes is None else self.training_bytes,
            },
            "notes": self.notes,
        }


def _row(layer: Layer) -> dict[str, Any]:
    sides = layer.window.sides if layer.window else ()
    jump = layer.jump
    return {
        "name": layer.name,
        "type": layer.type,
        "kernel_size": one([side.kernel_size for side in sides]),
        "stride": one([side.stride for side in sides]),
        "padding": _padding([side.padding for side in sides]),
        "dilation": one([side.dilation for side in sides]),
        "output": None if layer.output is None else list(layer.output),
        "parameters": layer.parameters,
        "trainable": layer.trainable,
        "activation_bytes": layer.activation_bytes,
        "macs": UNKNOWN if layer.macs is None else layer.macs,
        "receptive_field": UNKNOWN if layer.receptive_field is None else one(layer.receptive_field),
        "jump": UNKNOWN if jump is None else None if not any(jump) else one(jump),
        "offset": UNKNOWN if layer.offset is None else one(layer.offset),
        "receptive_field_in_previous": UNKNOWN if layer.own_field is None else one(layer.own_field),
    }


def _padding(pairs: Sequence[tuple[int, int]]) -> Any:
    """As `one`; where zeros before and behind differ, a pair of them for every side."""
    if all(before == behind for before, behind in pairs):
        return one([before for before, _ in pairs])
    return [list(pair) for pair in pairs]


def one(values: Sequence[Any]) -> Any:
    """One value where all sides agree, a list where they do not, None where there are no sides."""
    values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    if not values:
        return None
    return values[0] if all(value == values[0] for value in values) else values
