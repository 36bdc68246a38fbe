"""Run a network on the meta device and record every layer.

Operations are intercepted where torch dispatches them, so that modules and functions are treated alike.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from convnet.analysis.field import Field
from convnet.analysis.inputs import BATCH, Inputs, by, missing_axis, require_batch
from convnet.analysis.memory import LiveMemory
from convnet.analysis.multiply import multiplications
from convnet.analysis.rules import propagate
from convnet.analysis.window import Window, pad_of, window_of
from convnet.errors import ModelError, in_one_line
from convnet.meta import MetaMode, on_shapes, operation_name, tensors

_PLAIN_NAMES = {
    "native_batch_norm": "batch_norm",
    "max_pool2d_with_indices": "max_pool2d",
    "convolution": "conv",
    "addmm": "linear",
}
_SILENT = {"clone", "copy", "_to_copy", "detach", "alias", "lift_fresh"}
"""Operations that only copy; they get no row."""


_VALUES = (
    "meta tensor", "meta device", "Meta tensor", "meta function", "register_meta", "SymInt",
    "Tensor.__format__", "_pack_padded_sequence", "data-dependent",
)  # fmt: skip
"""Parts of torch's messages where an operation depends on values."""


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
        macs: Multiply-accumulates, as far as they are counted.
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
    takes: int | None = None
    gives: int | None = None
    inside: list[Call] = field(default_factory=list)
    output: tuple[int, ...] | None = None
    made: int = 0
    macs: int = 0
    uncounted: tuple[str, ...] = ()
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


def trace(module: nn.Module, inputs: Inputs) -> Trace:
    """Run a module on the meta device, in evaluation mode, on two inputs; the figures are for one.

    Raises:
        NothingLeftError: A window is larger than its input; the message names layer and arithmetic.
        ModelError: A layer fails on its input, or the output has no batch axis; the message names the layer.
    """
    module.eval()
    recorder = _Recorder()
    arguments, keywords = inputs.arguments(BATCH)
    recorder.begin(tensors((arguments, keywords)))
    with torch.no_grad(), on_shapes(), _quiet_steps(), recorder.watching(module):
        try:
            with recorder:
                output = module(*arguments, **keywords)
        except ModelError:
            raise
        except Exception as error:  # a user's forward may raise anything
            raise ModelError(_explain(recorder.open[-1], module, error)) from error
    call = recorder.open[0].inside[0]
    require_batch(output, describe(call))
    return Trace(call, recorder.memory.peak // BATCH, recorder.read)


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

    def begin(self, inputs: Sequence[Tensor]) -> None:
        """Set the first input, and others of its size, as the origin of all receptive fields."""
        self.memory.see(inputs)
        for x in inputs:
            known = Field.of_input(inputs[0].shape)
            same = x.shape[2:] == inputs[0].shape[2:]
            self.fields[x] = Field.of_input(x.shape) if same else known.unknown(x.shape)

    def _per_input(self, value: int, output: Tensor) -> int:
        """A figure for one input; work on weights alone, which happens once, is left whole."""
        depends = output in self.fields or output.shape[:1] == (BATCH,)  # an RNN's first state, too
        return value // BATCH if depends else value

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
            if inputs and (missing := missing_axis(module, inputs[0])):
                raise ModelError(f"{describe(call)} {missing}")
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
            made = self.memory.made_since(call.started, outputs)
            call.made = self._per_input(made, outputs[0]) if outputs else made
            call.macs = sum(operation.macs for operation in call.inside)
            call.uncounted = tuple(name for operation in call.inside for name in operation.uncounted)
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
        macs, counted = multiplications(func, args, kwargs, out)
        if outputs:
            macs = self._per_input(macs, outputs[0])
        if outputs and (macs or outputs[0] in self.fields):  # else it only prepares weights
            moves = name in _SILENT or not (is_new or func._schema.is_mutable)
            made = self._per_input(self.memory.made_since(clock, outputs[:1]), outputs[0])
            if macs or window or not counted or not moves:
                gap = () if counted else (f"{func.namespace}::{name}",)
                self._record(name, inputs[0], outputs[0], made, macs, gap, window)
            else:  # a view
                self.identities[outputs[0]] = self._identity(inputs[0])
        return out

    def _identity(self, tensor: Tensor) -> int:
        if tensor not in self.identities:
            self.identities[tensor] = next(self.tensors_seen)
        return int(self.identities[tensor])

    def _record(
        self,
        name: str,
        x: Tensor,
        out: Tensor,
        made: int,
        macs: int,
        uncounted: tuple[str, ...],
        window: Window | None,
    ) -> None:
        parent, kind = self.open[-1], _PLAIN_NAMES.get(name, name.lstrip("_"))
        name = f"{parent.name}.{kind}".lstrip(".")
        first = 1 if out in self.fields else 0  # a product of weights has no batch
        operation = Call(
            name, kind, input=tuple(x.shape[first:]), takes=self._identity(x), gives=self._identity(out)
        )
        operation.output, operation.made = tuple(out.shape[first:]), made
        operation.macs, operation.uncounted = macs, uncounted
        operation.field, operation.window = self.fields.get(out), window
        parent.inside.append(operation)


def describe(call: Call) -> str:
    """A layer as named in messages."""
    return f"layer '{call.name}' ({call.kind})" if call.name else f"the network ({call.kind})"


def _explain(call: Call, module: nn.Module, error: Exception) -> str:
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
        return f"{place} takes whole numbers, the indices of its rows; give dtype=torch.long"
    channels = getattr(call.module, "in_channels", None)
    features = getattr(call.module, "in_features", None)
    if isinstance(channels, int) and len(call.input) >= 2 and call.input[0] != channels:
        return f"{place} takes {channels} channels but gets {call.input[0]}, in an input of {given}"
    if isinstance(features, int) and call.input and features not in (call.input[-1], math.prod(call.input)):
        return f"{place} takes {features:,} numbers but gets {math.prod(call.input):,}, an input of {given}"
    return f"{place} fails on an input of {given}: {type(error).__name__}: {in_one_line(error)}"
