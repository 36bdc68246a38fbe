"""Run a network on the meta device and record every layer.

Operations are intercepted where torch dispatches them, so that modules and functions are treated alike.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from convnet.analysis.field import Field
from convnet.analysis.memory import LiveMemory
from convnet.analysis.rules import has_rule, propagate
from convnet.analysis.window import Window, pad_of, window_of
from convnet.errors import ModelError, in_one_line
from convnet.meta import MetaMode, operation_name, tensors

_PLAIN_NAMES = {
    "native_batch_norm": "batch_norm",
    "max_pool2d_with_indices": "max_pool2d",
    "convolution": "conv",
    "addmm": "linear",
}
_SILENT = {"clone", "copy", "_to_copy", "detach", "alias", "lift_fresh"}
"""Operations that only copy; they get no row."""


class NothingLeftError(ModelError):
    """A window is larger than its input; `layer` is the name of the layer."""

    def __init__(self, layer: str, message: str) -> None:
        super().__init__(message)
        self.layer = layer


@dataclass
class Call:
    """A call of a module, or an operation outside the innermost modules.

    Attributes:
        name: The name of the module or operation.
        kind: The class of the module, or the name of the operation.
        module: The module; None for operations.
        input: The shape of the first input without the batch dimension.
        started: The memory clock at the start of the call.
        takes: The identity of the first input; equal for views of one tensor.
        gives: The identity of the first output.
        inside: The calls within this call.
        output: The shape of the first output.
        made: The bytes of new memory held by the output.
        macs: Multiply-accumulates; None if unknown.
        field: The receptive field in the network's input.
        own: The receptive field in the call's own input (innermost modules only).
        window: The window (innermost modules only).
    """

    name: str
    kind: str
    module: nn.Module | None = None
    input: tuple[int, ...] = ()
    started: int = 0
    takes: int | None = None
    gives: int | None = None
    inside: list[Call] = field(default_factory=list)
    output: tuple[int, ...] | None = None
    made: int = 0
    macs: int | None = 0
    field: Field | None = None
    own: Field | None = None
    window: Window | None = None

    @property
    def is_layer(self) -> bool:
        """Whether no module ran inside the call."""
        return all(call.module is None for call in self.inside)


@dataclass(frozen=True)
class Trace:
    """A traced network.

    Attributes:
        call: The call of the whole network.
        peak: The largest number of bytes of activations in memory at once.
        read: The ids of all parameters that an operation read.
    """

    call: Call
    peak: int
    read: set[int]


def trace(module: nn.Module, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Trace:
    """Run a module on the meta device, in evaluation mode, on one input of `shape`.

    Raises:
        NothingLeftError: A window is larger than its input; the message names layer and arithmetic.
        ModelError: A layer fails on its input; the message names the layer.
    """
    module.eval()
    recorder = _Recorder()
    x = torch.empty(1, *shape, dtype=dtype, device="meta")
    recorder.begin(x)
    with torch.no_grad(), torch.device("meta"), _quiet_steps(), recorder.watching(module):
        try:
            with recorder:
                module(x)
        except ModelError:
            raise
        except Exception as error:  # a user's forward may raise anything
            raise ModelError(_explain(recorder.open[-1], error)) from error
    return Trace(recorder.open[0].inside[0], recorder.memory.peak, recorder.read)


@contextmanager
def _quiet_steps() -> Iterator[None]:
    """Run attention as separate operations, which have known rules, and suppress warnings."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about the cost of a real run
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


class _Recorder(MetaMode):
    """Records every operation, and by hooks the module that it belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Call("", "")]
        self.memory = LiveMemory()
        self.fields = WeakTensorKeyDictionary()
        self.own_fields = WeakTensorKeyDictionary()  # the input of the innermost open module is the origin
        self.pad: Window | None = None
        self.read: set[int] = set()
        self.identities = WeakTensorKeyDictionary()
        self.tensors_seen = count()

    def begin(self, x: Tensor) -> None:
        """Set `x` as the origin of all receptive fields."""
        self.memory.see([x])
        self.fields[x] = Field.of_input(x.shape)

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Hook every module, except the parts that compute parametrized weights."""
        hooks = []
        for name, part in module.named_modules():
            if "parametrizations" not in name.split("."):
                hooks.append(part.register_forward_pre_hook(self._enter(name), with_kwargs=True))
                hooks.append(part.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, arguments: Any, keywords: Any) -> None:
            inputs = tensors((arguments, keywords))
            shape = tuple(inputs[0].shape[1:]) if inputs else ()
            takes = self._identity(inputs[0]) if inputs else None
            call = Call(name, type(module).__name__, module, shape, self.memory.clock, takes)
            self.open[-1].inside.append(call)
            self.open.append(call)
            self.own_fields = WeakTensorKeyDictionary()
            for tensor in inputs:
                self.own_fields[tensor] = Field.of_input(tensor.shape)

        return hook

    def _leave(self, module: nn.Module, arguments: Any, output: Any) -> None:
        call, outputs = self.open.pop(), tensors(output)
        if outputs:
            call.output, call.gives = tuple(outputs[0].shape[1:]), self._identity(outputs[0])
            call.field = self.fields.get(outputs[0])
        if call.is_layer:
            call.own = self.own_fields.get(outputs[0]) if outputs else None
            call.made = self.memory.made_since(call.started, outputs)
            call.macs = total(operation.macs for operation in call.inside)
            call.window = next((operation.window for operation in call.inside if operation.window), None)
            call.inside = []

    def run(self, func: Any, arguments: Mapping[str, Any], args: Any, kwargs: Any) -> Any:
        """Run and record an operation; raises NothingLeftError if its window does not fit."""
        name = operation_name(func)
        window = window_of(name, arguments, self.pad)
        self.pad = pad_of(name, arguments)
        if window is not None and window.impossible:
            layer = self.open[-1]
            raise NothingLeftError(layer.name, f"{describe(layer)}: {window.impossible}")
        out = super().run(func, arguments, args, kwargs)
        inputs, outputs = tensors((args, kwargs)), tensors(out)
        self.read |= {id(tensor) for tensor in inputs if isinstance(tensor, nn.Parameter)}
        pointwise = torch.Tag.pointwise in func.tags
        for fields in (self.fields, self.own_fields):
            for tensor in outputs:
                if (known := propagate(name, pointwise, fields.get, arguments, tensor)) is not None:
                    fields[tensor] = known
        clock = self.memory.clock
        is_new = self.memory.see(outputs, inputs) > 0
        macs = _macs(func, args, kwargs, out) if func._overloadpacket in flop_registry else 0
        if outputs and (macs or outputs[0] in self.fields):  # else it only prepares weights
            counted = pointwise or has_rule(name) or func._overloadpacket in flop_registry
            moves = name in _SILENT or not (is_new or func._schema.is_mutable)
            made = self.memory.made_since(clock, outputs[:1])
            if macs or window or not counted or not moves:
                self._record(name, inputs[0], outputs[0], made, macs if counted else None, window)
            else:  # a view
                self.identities[outputs[0]] = self._identity(inputs[0])
        return out

    def _identity(self, tensor: Tensor) -> int:
        if tensor not in self.identities:
            self.identities[tensor] = next(self.tensors_seen)
        return int(self.identities[tensor])

    def _record(
        self, name: str, x: Tensor, out: Tensor, made: int, macs: int | None, window: Window | None
    ) -> None:
        parent, kind = self.open[-1], _PLAIN_NAMES.get(name, name.lstrip("_"))
        name = f"{parent.name}.{kind}".lstrip(".")
        first = 1 if out in self.fields else 0  # a product of weights has no batch
        operation = Call(
            name, kind, input=tuple(x.shape[first:]), takes=self._identity(x), gives=self._identity(out)
        )
        operation.output, operation.made, operation.macs = tuple(out.shape[first:]), made, macs
        operation.field, operation.window = self.fields.get(out), window
        parent.inside.append(operation)


def _macs(func: Any, args: Any, kwargs: Any, out: Any) -> int:
    """Half of the floating-point operations counted by torch."""
    flops: int = flop_registry[func._overloadpacket](*args, **kwargs, out_val=out)
    return flops // 2


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None if a value is None."""
    known = list(values)
    return None if None in known else sum(value for value in known if value)


def describe(call: Call) -> str:
    """A layer as named in messages."""
    return f"layer '{call.name}' ({call.kind})" if call.name else f"the network ({call.kind})"


def _explain(call: Call, error: Exception) -> str:
    """A message for a layer that fails on its input, with the reason if it is a common one."""
    given, place = "×".join(map(str, call.input)), describe(call)
    if "meta tensor" in str(error) or "SymInt" in str(error):
        return f"{place} needs values, but a layer table has only shapes"
    channels = getattr(call.module, "in_channels", None)
    features = getattr(call.module, "in_features", None)
    if isinstance(channels, int) and len(call.input) >= 2 and call.input[0] != channels:
        return f"{place} takes {channels} channels but gets {call.input[0]}, in an input of {given}"
    if isinstance(features, int) and call.input and features not in (call.input[-1], math.prod(call.input)):
        return f"{place} takes {features:,} numbers but gets {math.prod(call.input):,}, an input of {given}"
    return f"{place} fails on an input of {given}: {type(error).__name__}: {in_one_line(error)}"
