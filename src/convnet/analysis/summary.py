"""The layer table of any network (M24, M25, M82): what every layer makes, holds, costs and sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from convnet.analysis.field import Field
from convnet.analysis.memory import saved_bytes
from convnet.analysis.smallest import fitting_trace
from convnet.analysis.trace import Call, Trace, total, trace
from convnet.analysis.window import Window
from convnet.errors import ModelError
from convnet.meta import on_meta

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


@dataclass(frozen=True)
class Summary:
    """The layer table of a network for inputs of one shape.

    `parameters` counts every parameter once, those `unused` by an evaluation included; `forward_bytes` and
    `training_bytes` are the memory of a forward pass and of a training step with Adam, for `batch_size`
    inputs, with the inputs and the weights. `print` shows the table; notebooks show it folded.
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
        return _notes(self.root)

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

    def __str__(self) -> str:
        from convnet.analysis.text import plain_text

        return plain_text(self)

    def _repr_html_(self) -> str:
        from convnet.analysis.html import fragment

        return fragment(self)


def summary(
    module: nn.Module,
    input_shape: Sequence[int],
    *,
    name: str | None = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
) -> Summary:
    """The layer table of any `nn.Module` for inputs of `input_shape`, e.g. (3, 224, 224), without the batch.

    The module is copied to the meta device and run there in evaluation mode: nothing is allocated, and the
    module itself is left alone. Receptive fields follow the operations, over all branches. `dtype` of the
    input is that of the weights unless given.

        >>> import convnet
        >>> from torch import nn
        >>> table = convnet.summary(nn.Sequential(nn.Conv2d(3, 10, 5, padding=2), nn.ReLU()), (3, 32, 32))
        >>> table.parameters, table.layers[0].output, table.layers[0].receptive_field
        (760, (10, 32, 32), (5, 5))

    Raises:
        ModelError: a layer does not fit its input; the message names it, with its arithmetic and the
            smallest input that would do.
    """
    module = on_meta(module)
    shape = tuple(input_shape)
    floats = (p.dtype for p in module.parameters() if p.is_floating_point())
    dtype = dtype or next(floats, torch.float32)
    found = fitting_trace(module, shape, dtype)
    weights = {id(p): p for p in module.parameters()}
    buffers = {id(b): b for b in module.buffers()}
    builder = _Builder()
    root = builder.layer(found.call)
    weight_bytes = sum(t.nbytes for t in (*weights.values(), *buffers.values()))
    return Summary(
        model=name or type(module).__name__,
        input=shape,
        batch_size=batch_size,
        root=root,
        parameters=sum(p.numel() for p in weights.values()),
        trainable=sum(p.numel() for p in weights.values() if p.requires_grad),
        unused=_unused(module, builder.counted),
        weight_bytes=weight_bytes,
        forward_bytes=weight_bytes + batch_size * found.peak,
        training_bytes=_training_bytes(module, found, shape, dtype, batch_size, weight_bytes),
    )


def unfitting_strides(module: nn.Module, input_shape: Sequence[int]) -> list[str]:
    """What the table would say of strides that do not fit (M24); nothing where a network cannot be traced."""
    try:
        found = trace(on_meta(module), tuple(input_shape))
    except ModelError:
        return []
    return _notes(_Builder().layer(found.call))


def _notes(root: Layer) -> list[str]:
    return [f"layer '{layer.name}' ({layer.type}): {layer.note}" for layer in root.leaves() if layer.note]


def _training_bytes(
    module: nn.Module,
    found: Trace,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    batch_size: int,
    weight_bytes: int,
) -> int | None:
    """Weights, gradients, Adam's two moments, and what the backward pass needs."""
    several = max(2, batch_size)  # batch norm refuses a single value per channel
    saved = saved_bytes(module, shape, dtype, several)
    if saved is None:
        return None
    learnt = sum(p.nbytes for p in module.parameters() if p.requires_grad)
    return weight_bytes + 3 * learnt + max(saved * batch_size // several, batch_size * found.peak)


class _Builder:
    """Turns calls into layers; a parameter counts where it is first used."""

    def __init__(self) -> None:
        self.counted: set[int] = set()

    def layer(self, call: Call) -> Layer:
        """The row of a call, with the rows inside of it."""
        innermost = call.is_layer
        own = list(call.module.parameters(recurse=innermost)) if call.module is not None else []
        parameters, trainable = self._count(own)
        inside = [] if innermost else [self.layer(inner) for inner in call.inside]
        if not innermost and parameters:  # held by the block itself
            inside.insert(0, _held(call, parameters, trainable))
        return Layer(
            name=call.name,
            type=call.kind,
            input=call.input,
            output=call.output,
            window=call.window,
            parameters=sum(layer.parameters for layer in inside) if inside else parameters,
            trainable=sum(layer.trainable for layer in inside) if inside else trainable,
            activation_bytes=sum(layer.activation_bytes for layer in inside) if inside else call.made,
            macs=total(layer.macs for layer in inside) if inside else call.macs,
            receptive_field=_sizes(call.field),
            jump=_each(call.field, "jump"),
            offset=_each(call.field, "start"),
            own_field=_sizes(call.own),
            inside=tuple(inside),
            is_chain=all(after.takes == before.gives for before, after in pairwise(call.inside)),
            note=call.window.complaint if call.window else None,
        )

    def _count(self, parameters: list[nn.Parameter]) -> tuple[int, int]:
        new = [p for p in parameters if id(p) not in self.counted]
        self.counted |= {id(p) for p in new}
        return sum(p.numel() for p in new), sum(p.numel() for p in new if p.requires_grad)


def _held(call: Call, parameters: int, trainable: int) -> Layer:
    """Parameters that a block holds itself, outside of its layers."""
    return Layer(
        f"{call.name}.parameters".lstrip("."), "Parameter", call.input, None, None, parameters, trainable,
        0, 0, (), (), (), (), (), True, None,
    )  # fmt: skip


def _unused(module: nn.Module, counted: set[int]) -> dict[str, int]:
    """Parameters that an evaluation does not use, by the outermost modules that hold nothing else."""
    found: dict[str, int] = {}
    for name, part in module.named_modules():
        parameters = {id(p): p for p in part.parameters()}
        inside = any(name == known or name.startswith(f"{known}.") for known in found)
        if parameters and not inside and not parameters.keys() & counted:
            found[name] = sum(p.numel() for p in parameters.values())
    return found


def _sizes(field: Field | None) -> tuple[int, ...] | None:
    sizes = _each(field, "size")
    return None if sizes is None else tuple(int(size) for size in sizes)


def _each(field: Field | None, what: str) -> tuple[float, ...] | None:
    """A property of every side's reach; None where a side is not known."""
    if field is None:
        return ()
    if None in field.reaches:
        return None
    return tuple(getattr(reach, what) for reach in field.reaches)


def _row(layer: Layer) -> dict[str, Any]:
    sides = layer.window.sides if layer.window else ()
    jump = layer.jump
    return {
        "name": layer.name,
        "type": layer.type,
        "kernel_size": one([side.kernel_size for side in sides]),
        "stride": one([side.stride for side in sides]),
        "padding": one([one(list(side.padding)) for side in sides]),
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


def one(values: Sequence[Any]) -> Any:
    """One value where all sides agree, a list where they do not, None where there are no sides."""
    values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    if not values:
        return None
    return values[0] if all(value == values[0] for value in values) else values
