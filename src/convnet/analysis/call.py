"""A call of a module or an operation while a network is traced, and why it failed."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field

from torch import nn

from convnet.analysis.field import Field
from convnet.analysis.inputs import BATCH, by
from convnet.analysis.window import Window
from convnet.errors import in_one_line

_VALUES = (
    "meta tensor", "meta device", "Meta tensor", "meta function", "register_meta", "SymInt",
    "Tensor.__format__", "_pack_padded_sequence", "'lengths' argument", "data-dependent",
)  # fmt: skip
"""Parts of torch's messages where an operation depends on values."""


@dataclass
class Call:
    """A call of a module, or an operation outside the innermost modules.

    Attributes:
        name: The name of the module or operation.
        kind: The class of the module, or the name of the operation.
        module: The module; None for operations.
        input: The shape of the first input without the batch dimension.
        started: The memory clock at the start of the call.
        sources: The identities of all inputs; equal for views of one tensor.
        gives: The identity of the first output.
        inside: The calls within this call.
        output: The shape of the first output.
        made: The bytes of new memory held by the output.
        traced_macs: Multiply-accumulates for all traced inputs, as far as they are counted.
        uncounted: The operations that may multiply but have no formula.
        field: The receptive field in the network's input.
        own: The receptive field in the call's own input (innermost modules only).
        window: The window (innermost modules only).
    """

    name: str
    kind: str
    module: nn.Module | None = None
    input: tuple[int, ...] = ()
    started: int = 0
    sources: tuple[int, ...] = ()
    gives: int | None = None
    inside: list[Call] = field(default_factory=list)
    output: tuple[int, ...] | None = None
    made: int = 0
    traced_macs: int = 0
    uncounted: tuple[str, ...] = ()
    field: Field | None = None
    own: Field | None = None
    window: Window | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one input."""
        return self.traced_macs // BATCH

    @property
    def takes(self) -> int | None:
        """The identity of the first input."""
        return self.sources[0] if self.sources else None

    @property
    def is_layer(self) -> bool:
        """Whether no module ran inside the call."""
        return all(call.module is None for call in self.inside)


def describe(call: Call) -> str:
    """A layer as named in messages."""
    return f"layer '{call.name}' ({call.kind})" if call.name else f"the network ({call.kind})"


def failure(call: Call, module: nn.Module, error: Exception) -> str:
    """A message for a layer that fails on its input, with the reason if it is a common one."""
    given, place, text = by(call.input) or "a single number", describe(call), str(error)
    if any(sign in text for sign in _VALUES):
        return f"{place} needs values, but a layer table has only shapes"
    if "required positional argument" in text or "unexpected keyword argument" in text:
        names = ", ".join(inspect.signature(module.forward).parameters)
        return (
            f"the network takes the inputs {names}; give a shape for each, for example "
            '{"x": (3, 224, 224), "y": (10,)}'
        )
    if isinstance(call.module, nn.Embedding | nn.EmbeddingBag):
        several = len(inspect.signature(module.forward).parameters) > 1
        types = '{"NAME": torch.long} for the inputs that hold them' if several else "torch.long"
        return f"{place} takes whole numbers, the indices of its rows; give dtype={types}"
    channels = getattr(call.module, "in_channels", None)
    features = getattr(call.module, "in_features", None)
    if isinstance(channels, int) and len(call.input) >= 2 and call.input[0] != channels:
        return f"{place} takes {channels} channels but gets {call.input[0]}, in an input of {given}"
    if isinstance(features, int) and call.input and features not in (call.input[-1], math.prod(call.input)):
        return f"{place} takes {features:,} numbers but gets {math.prod(call.input):,}, an input of {given}"
    return f"{place} fails on an input of {given}: {type(error).__name__}: {in_one_line(error)}"
