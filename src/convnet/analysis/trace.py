"""Run a network on the meta device and record every layer.

Operations are intercepted where torch dispatches them, so that modules and functions are treated alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

from convnet.analysis.call import Call, describe, failure
from convnet.analysis.field import Field
from convnet.analysis.inputs import BATCH, Inputs, missing_axis, require_batch
from convnet.analysis.memory import LiveMemory
from convnet.analysis.multiply import multiplications
from convnet.analysis.rules import propagate
from convnet.analysis.window import Window, pad_of, window_of
from convnet.errors import ModelError
from convnet.meta import MetaMode, on_shapes, operation_name, tensors

_PLAIN_NAMES = {
    "native_batch_norm": "batch_norm",
    "max_pool2d_with_indices": "max_pool2d",
    "convolution": "conv",
    "addmm": "linear",
}
_SILENT = {"clone", "copy", "_to_copy", "detach", "alias", "lift_fresh"}
"""Operations that only copy; they get no row."""
_REPEATING = {"expand", "repeat", "expand_copy"}
"""Operations that give each input its own copy of a weight, such as a class token."""


class NothingLeftError(ModelError):
    """A window is larger than its input; `layer` is the name of the layer."""

    def __init__(self, layer: str, message: str) -> None:
        super().__init__(message)
        self.layer = layer


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


def trace(module: nn.Module, inputs: Inputs, *, training: bool = False) -> Trace:
    """Run a module on the meta device on two inputs; the figures are for one.

    Args:
        module: The module, on the meta device.
        inputs: The shapes of its inputs.
        training: Whether to run it in training mode instead of evaluation mode.

    Raises:
        NothingLeftError: A window is larger than its input; the message names layer and arithmetic.
        ModelError: A layer fails on its input, or the output has no batch axis; the message names the layer.
    """
    module.train(training)
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
            raise ModelError(failure(recorder.open[-1], module, error)) from error
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
        self.repeated = WeakTensorKeyDictionary()  # tensors that hold something for each input
        self.lazy: set[nn.Module] = set()
        self.pad: Window | None = None
        self.read: set[int] = set()
        self.identities = WeakTensorKeyDictionary()
        self.tensors_seen = count()

    def begin(self, inputs: Sequence[Tensor]) -> None:
        """Set the first input, and others of its size, as the origin of all receptive fields."""
        self.memory.see(inputs)
        for x in inputs:
            self.repeated[x] = True
            known = Field.of_input(inputs[0].shape)
            same = x.shape[2:] == inputs[0].shape[2:]
            self.fields[x] = Field.of_input(x.shape) if same else known.unknown(x.shape)

    def _per_input(self, value: int, output: Tensor) -> int:
        """A figure for one input; work on weights alone, which happens once, is left whole."""
        return value // BATCH if output in self.repeated else value

    def _is_repeated(self, name: str, inputs: Sequence[Tensor], output: Tensor) -> bool:
        """Whether the result of an operation holds something for each input."""
        if any(tensor in self.repeated for tensor in inputs):
            return True
        if not inputs:  # made from sizes: the first state of a recurrent layer, or a tensor for each input
            recurrent = any(isinstance(call.module, nn.RNNBase | nn.RNNCellBase) for call in self.open)
            return recurrent or output.shape[:1] == (BATCH,)
        return name in _REPEATING and output.numel() % (BATCH * inputs[0].numel() or 1) == 0

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Hook every module, except the parts that compute parametrized weights."""
        hooks = []
        self.lazy = {part for part in module.modules() if any(map(is_lazy, part.parameters(recurse=False)))}
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
            sources = tuple(map(self._identity, inputs))
            call = Call(name, type(module).__name__, module, shape, self.memory.clock, sources)
            if inputs and (missing := missing_axis(module, inputs[0], lazy=module in self.lazy)):
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
            call.traced_macs = sum(operation.traced_macs for operation in call.inside)
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
        for tensor in outputs:
            if self._is_repeated(name, inputs, tensor):
                self.repeated[tensor] = True
        pointwise = torch.Tag.pointwise in func.tags
        for fields in (self.fields, self.own_fields):
            for tensor in outputs:
                if (known := propagate(name, pointwise, fields.get, arguments, tensor)) is not None:
                    fields[tensor] = known
        clock = self.memory.clock
        is_new = self.memory.see(outputs, inputs) > 0
        macs, counted = multiplications(func, args, kwargs, out)
        if outputs and outputs[0] not in self.repeated:
            macs *= BATCH  # work on weights alone, which happens once
        if outputs and (macs or outputs[0] in self.fields):  # else it only prepares weights
            moves = name in _SILENT or not (is_new or func._schema.is_mutable)
            made = self._per_input(self.memory.made_since(clock, outputs[:1]), outputs[0])
            if macs or window or not counted or not moves:
                gap = () if counted else (f"{func.namespace}::{name}",)
                self._record(name, inputs, outputs[0], made, macs, gap, window)
            else:  # a view, or several
                for tensor in outputs:
                    self.identities[tensor] = self._identity(inputs[0])
        return out

    def _identity(self, tensor: Tensor) -> int:
        if tensor not in self.identities:
            self.identities[tensor] = next(self.tensors_seen)
        return int(self.identities[tensor])

    def _record(
        self,
        name: str,
        inputs: Sequence[Tensor],
        out: Tensor,
        made: int,
        macs: int,
        uncounted: tuple[str, ...],
        window: Window | None,
    ) -> None:
        parent, kind = self.open[-1], _PLAIN_NAMES.get(name, name.lstrip("_"))
        name = f"{parent.name}.{kind}".lstrip(".")
        first = 1 if out in self.fields else 0  # a product of weights has no batch
        sources = tuple(map(self._identity, inputs))
        shape = tuple(inputs[0].shape[first:])
        operation = Call(name, kind, input=shape, sources=sources, gives=self._identity(out))
        operation.output, operation.made = tuple(out.shape[first:]), made
        operation.traced_macs, operation.uncounted = macs, uncounted
        operation.field, operation.window = self.fields.get(out), window
        parent.inside.append(operation)
