"""Record every operation of a network for one input: arguments, output and, on request, gradient.

Operations are intercepted where Python calls them, so that modules and functions are treated alike. They have
the names of the layer table: "conv1", "layer1.0.add".
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from convnet.errors import ModelError
from convnet.layers import ChannelMaxPool, FlattenLinear, LocallyConnected2d, LocalResponseNorm, Maxout
from convnet.layers.evaluating import evaluating
from convnet.registry import nearest

_SILENT = {
    "get", "to", "float", "double", "detach", "clone", "contiguous", "type", "cpu", "size", "dim", "set",
    "requires_grad", "is_floating_point", "numel", "expand", "expand_as", "len", "stride", "is_contiguous",
    "type_as", "item", "all", "any", "isnan", "zeros_like", "ones_like", "empty_like", "eq", "ne", "lt", "gt",
}  # fmt: skip
"""Functions that compute nothing or prepare weights; they are not recorded."""
_OUT_OF_PLACE: dict[str, Callable[..., Any]] = {
    "iadd": torch.add, "imul": torch.mul, "isub": torch.sub, "itruediv": torch.div,
    "add_": torch.add, "mul_": torch.mul, "sub_": torch.sub, "div_": torch.div, "relu_": torch.relu,
    "clamp_": torch.clamp, "sigmoid_": torch.sigmoid, "tanh_": torch.tanh,
}  # fmt: skip
"""Operations in place, which would change what was recorded, and what is computed instead."""


WHOLE = (FlattenLinear, LocalResponseNorm, LocallyConnected2d, Maxout, ChannelMaxPool)
"""Layers that are one operation, although they call several functions."""
MOST_LISTED = 40
"""The largest number of layers that a message lists."""


@dataclass(frozen=True)
class Operation:
    """An operation of a network and the values it had.

    Attributes:
        name: The name of the layer; unique.
        module: The name of the innermost module that it belongs to.
        kind: The name of the function: "conv2d", "batch_norm", "add", ….
        arguments: Positional arguments; tensors as they were before the operation.
        keywords: Keyword arguments.
        output: The result, 1×….
        inputs: For every tensor among the arguments the operation that computed it; None for the network's
            input and for weights.
        function: The function.
        gradient: The gradient of the chosen output with respect to `output`; None if it was not asked for.
    """

    name: str
    module: str
    kind: str
    arguments: tuple[Any, ...] = field(repr=False)
    keywords: Mapping[str, Any] = field(repr=False)
    output: Tensor = field(repr=False)
    inputs: tuple[str | None, ...]
    function: Callable[..., Any] = field(repr=False)
    gradient: Tensor | None = field(default=None, repr=False)

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        if len(self.arguments) > place:
            return self.arguments[place]
        return self.keywords.get(name, default)

    @property
    def is_map(self) -> bool:
        """Whether its output is 1×C×H×W."""
        return self.output.dim() == 4


@dataclass(frozen=True)
class Capture:
    """The operations of a network for one input.

    Attributes:
        input: The input, 1×C×H×W.
        output: The output of the network, 1×….
        operations: In the order of their execution.
    """

    input: Tensor = field(repr=False)
    output: Tensor = field(repr=False)
    operations: Sequence[Operation]

    def __getitem__(self, name: str) -> Operation:
        """The operation of that name, or the last one of the module of that name.

        Raises:
            ModelError: There is none; the message has the nearest names.
        """
        found = [op for op in self.operations if op.name == name]
        found = found or [op for op in self.operations if f"{op.module}.".startswith(f"{name}.")]
        if not found:
            known = [op.name for op in self.operations]
            raise ModelError(f"no layer '{name}'{nearest(name, known) or _listed(known)}")
        return found[-1]

    @property
    def maps(self) -> list[Operation]:
        """The operations with outputs 1×C×H×W."""
        return [op for op in self.operations if op.is_map]


def capture(
    model: nn.Module,
    image: Tensor,
    gradient_of: int | Callable[[Tensor], int] | None = None,
    *,
    objective: Callable[[Tensor], Tensor] | None = None,
) -> Capture:
    """Run a network in evaluation mode on one input and record every operation.

    Args:
        model: The network.
        image: Its input, 1×C×H×W.
        gradient_of: The output k whose gradient is recorded, too, or a function that chooses it from the
            outputs.
        objective: A function of the outputs whose gradient is recorded instead, such as a loss.

    Returns:
        The operations. The network is unchanged.
    """
    differentiated = gradient_of is not None or objective is not None
    source = image.detach().clone().requires_grad_(differentiated)
    recorder = _Recorder(source)
    gradients: list[Tensor | None] = []
    with evaluating(model), torch.set_grad_enabled(differentiated):
        with recorder.watching(model), recorder:
            output = model(source)
        gradients = [None] * len(recorder.results)
        if differentiated and output.requires_grad:
            if objective is not None:
                chosen = objective(output)
            else:
                target = gradient_of(output.detach()) if callable(gradient_of) else gradient_of
                chosen = output[:, target].sum()
            places = [i for i, result in enumerate(recorder.results) if result.requires_grad]
            found = torch.autograd.grad(chosen, [recorder.results[i] for i in places], allow_unused=True)
            for place, gradient in zip(places, found, strict=True):
                gradients[place] = gradient
    if not recorder.operations:
        raise ModelError("the network computes nothing from its input that can be followed")
    named = _unique(recorder.operations, dict(model.named_modules()))
    operations = [
        replace(op, output=result.detach(), gradient=None if grad is None else grad.detach())
        for op, result, grad in zip(named, recorder.results, gradients, strict=True)
    ]
    return Capture(image.detach(), output.detach(), operations)


def _listed(names: Sequence[str]) -> str:
    return f"; the layers are {', '.join(names[:MOST_LISTED])}{', …' if len(names) > MOST_LISTED else ''}"


class _Recorder(TorchFunctionMode):
    """Records the calls of torch functions, and by hooks the module that each belongs to."""

    def __init__(self, source: Tensor) -> None:
        super().__init__()
        self.open: list[str] = [""]
        self.operations: list[Operation] = []
        self.results: list[Tensor] = []
        self.made_by: dict[int, int] = {}
        self.sample = {id(source)}
        self.inside = 0
        self.kept = [source]  # so that the number of no tensor is given to another

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Follow which module runs."""
        hooks = []

        for name, part in model.named_modules():
            hooks.append(part.register_forward_pre_hook(self._entering(name)))
            hooks.append(part.register_forward_hook(self._leaving(name)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _entering(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, inputs: Any) -> None:
            self.open.append(name)
            self.inside += isinstance(module, WHOLE)

        return enter

    def _leaving(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(module, WHOLE):
                self.inside -= 1
                self._record(type(module).__name__, module, inputs, {}, output)
            self.open.pop()

        return leave

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        kind = str(getattr(func, "__name__", "")).strip("_")
        name = getattr(func, "__name__", "").removeprefix("__").removesuffix("__")
        if name in _OUT_OF_PLACE:
            func, kind = _OUT_OF_PLACE[name], _OUT_OF_PLACE[name].__name__
        if "inplace" in kwargs or _inplace(func, args):
            args, kwargs = _without_inplace(func, args, kwargs)
        result = func(*args, **kwargs)
        if (
            kind not in _SILENT
            and not self.inside
            and isinstance(result, Tensor)
            and result.is_floating_point()
        ):
            self._record(kind, func, args, kwargs, result)
        self._follow(result, args, kwargs)
        return result

    def _follow(self, result: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Remember results that are not recorded, such as copies and parts, if they come from the sample."""
        sources = _tensors(args) + _tensors(tuple(kwargs.values()))
        source = next((one for one in sources if id(one) in self.sample), None)
        for tensor in _tensors(result):
            if source is not None and id(tensor) not in self.sample:
                self.sample.add(id(tensor))
                self.kept.append(tensor)
                if id(source) in self.made_by:
                    self.made_by[id(tensor)] = self.made_by[id(source)]

    def _record(
        self, kind: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor
    ) -> None:
        sources = _tensors(args) + _tensors(tuple(kwargs.values()))
        if not any(id(source) in self.sample for source in sources):
            return  # it prepares weights
        known = tuple(
            None if (place := self.made_by.get(id(source))) is None else str(place) for source in sources
        )
        operation = Operation("", self.open[-1], kind, _kept(args), _kept(kwargs), result, known, func)
        self.made_by[id(result)] = len(self.operations)
        self.sample.add(id(result))
        self.operations.append(operation)
        self.results.append(result)


def _inplace(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether a positional argument may be `inplace`."""
    return len(args) > 1 and any(value is True for value in args)


def _without_inplace(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        bound = inspect.signature(func).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return args, {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs
    if "inplace" in bound.arguments:
        bound.arguments["inplace"] = False
    return bound.args, bound.kwargs


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among arguments, those in lists included."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _kept(values: Any) -> Any:
    """Arguments with detached tensors."""
    if isinstance(values, Tensor):
        return values.detach()
    if isinstance(values, (list, tuple)):
        return tuple(_kept(value) for value in values)
    if isinstance(values, dict):
        return {key: _kept(value) for key, value in values.items()}
    return values


def with_softmax(found: Capture, temperature: float = 1.0) -> Capture:
    """The capture with what turns logits 1×K into probabilities as its last operations.

    Args:
        found: A network's operations.
        temperature: The logits are divided by it ("temperature"), unless it is 1, before "softmax".
    """
    last, logits, operations = found.operations[-1].name, found.output, list(found.operations)
    if temperature != 1:
        scaled = logits / temperature
        divided = (logits, temperature)
        operations.append(Operation("temperature", "", "div", divided, {}, scaled, (last,), torch.div))
        last, logits = "temperature", scaled
    output = logits.softmax(1)
    final = Operation("softmax", "", "softmax", (logits,), {"dim": 1}, output, (last,), torch.softmax)
    return replace(found, operations=[*operations, final])


def _unique(operations: Sequence[Operation], modules: Mapping[str, nn.Module]) -> list[Operation]:
    """The operations with unique names and with the names of their inputs.

    The last operation of a module without parts has the module's name, others add their kind.
    """
    names: list[str] = []
    used: Counter[str] = Counter()
    for place, op in enumerate(operations):
        part = modules.get(op.module)
        following = operations[place + 1] if place + 1 < len(operations) else None
        leaf = part is not None and not any(True for _ in part.children()) and op.module
        last = following is None or following.module != op.module or following.kind == op.kind
        base = op.module if leaf and last else f"{op.module}.{op.kind}".lstrip(".")
        names.append(base if not used[base] else f"{base}_{used[base]}")
        used[base] += 1
    return [
        replace(op, name=name, inputs=tuple(None if i is None else names[int(i)] for i in op.inputs))
        for op, name in zip(operations, names, strict=True)
    ]
