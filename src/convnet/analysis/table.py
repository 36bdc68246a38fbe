"""The rows and totals of a layer table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from convnet.analysis.window import Window

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Layer:
    """A row of the table: a layer, or a block of layers. Unknown values are None.

    Attributes:
        name: The name in the network.
        type: The class.
        input: The shape of the input without the batch dimension.
        output: The shape of the output.
        window: The window of a convolution or pool.
        parameters: The number of parameters.
        trainable: The number of trainable parameters.
        activation_bytes: New memory for one input; 0 for layers that work in place or only reshape.
        macs: Multiply-accumulates for one input, as far as they are counted.
        uncounted: The operations that may multiply but are not counted; with them, `macs` is a lower bound.
        receptive_field: The size of the field of one position, in input pixels per side; empty if the input
            has no sides.
        jump: Input pixels between neighboring positions, per side; 0 if all positions share a field.
        offset: The center of the first position's field; 0 is the center of the first pixel.
        own_field: The size of the field in the layer's own input.
        inside: The layers of a block.
        is_chain: Whether the layers of a block form a chain without branches.
        note: A note on a stride that leaves pixels unused.
        sources: The identities of the tensors that the layer reads.
        result: The identity of the tensor that it returns.
    """

    name: str
    type: str
    input: tuple[int, ...]
    output: tuple[int, ...] | None
    window: Window | None
    parameters: int
    trainable: int
    activation_bytes: int
    macs: int
    uncounted: tuple[str, ...]
    receptive_field: tuple[int, ...] | None
    jump: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    own_field: tuple[int, ...] | None
    inside: tuple[Layer, ...]
    is_chain: bool
    note: str | None
    sources: tuple[int, ...] = ()
    result: int | None = None

    def leaves(self) -> Iterator[Layer]:
        """The innermost layers in the order in which they run."""
        if not self.inside:
            yield self
        for layer in self.inside:
            yield from layer.leaves()

    def notes(self) -> list[str]:
        """Notes on strides that leave pixels unused."""
        return [f"layer '{layer.name}' ({layer.type}): {layer.note}" for layer in self.leaves() if layer.note]


@dataclass(frozen=True)
class LayerTable:
    """The layer table of a network for inputs of one shape.

    Attributes:
        model: The name of the network.
        input: The shape of the first input without the batch dimension.
        inputs: The shapes of all inputs, by position or name.
        batch_size: The batch size of the memory figures.
        root: The row of the whole network.
        parameters: The number of parameters, each counted once.
        trainable: The number of trainable parameters.
        unused: Parameters that evaluation does not use, by module.
        weight_bytes: The memory of weights and buffers.
        forward_bytes: The memory of a forward pass, with inputs and weights.
        training_bytes: The memory of a training step with Adam, with inputs and weights; None if unknown.
    """

    model: str
    input: tuple[int, ...]
    inputs: dict[str, tuple[int, ...]]
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
        """The innermost layers in the order in which they run."""
        return list(self.root.leaves())

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one input; a lower bound if there are uncounted operations."""
        return self.root.macs

    @property
    def uncounted(self) -> list[str]:
        """The operations that may multiply but are not counted."""
        return sorted({*self.root.uncounted})

    @property
    def activation_bytes(self) -> int:
        """New memory of all layers for one input."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def notes(self) -> list[str]:
        """Notes on strides that leave pixels unused."""
        return self.root.notes()

    def to_dict(self) -> dict[str, Any]:
        """The innermost layers and the totals as plain values, for JSON.

        One number is given where all sides agree. Unknown values are "unknown", inapplicable ones None.
        """
        return {
            "model": self.model,
            "input": list(self.input),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "batch_size": self.batch_size,
            "layers": [_row(layer) for layer in self.layers],
            "total": {
                "parameters": self.parameters,
                "trainable": self.trainable,
                "unused": self.unused,
                "activation_bytes": self.activation_bytes,
                "macs": _macs(self.macs, self.uncounted),
                "macs_uncounted": self.uncounted,
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
        "macs": _macs(layer.macs, layer.uncounted),
        "receptive_field": UNKNOWN if layer.receptive_field is None else one(layer.receptive_field),
        "jump": UNKNOWN if jump is None else None if not any(jump) else one(jump),
        "offset": UNKNOWN if layer.offset is None else one(layer.offset),
        "receptive_field_in_previous": UNKNOWN if layer.own_field is None else one(layer.own_field),
    }


def _macs(macs: int, uncounted: Sequence[str]) -> int | str:
    """The number; "unknown" where nothing was counted and something may multiply."""
    return UNKNOWN if uncounted and not macs else macs


def _padding(pairs: Sequence[tuple[int, int]]) -> Any:
    """As `one`; pairs (before, after) per side if the two ends differ."""
    if all(before == behind for before, behind in pairs):
        return one([before for before, _ in pairs])
    return [list(pair) for pair in pairs]


def one(values: Sequence[Any]) -> Any:
    """One value if all sides agree, a list if they do not, None if there are no sides."""
    values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    if not values:
        return None
    return values[0] if all(value == values[0] for value in values) else values
