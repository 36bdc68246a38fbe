"""torch's meta device: tensors with a shape and a type, but without values and without memory.

Networks run there to learn their shapes. torch's own kernels for the commonest operations are Python code
there, and import its compiler: a second and 70 MB, more than the rest of a layer table costs. `MetaMode`
makes their outputs itself and leaves everything else to torch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from convnet.errors import ModelError, in_one_line

_POINTWISE = {
    "add", "sub", "mul", "div", "pow", "square", "sqrt", "rsqrt", "exp", "log", "neg", "abs", "addcmul",
    "clamp", "clamp_min", "relu", "sigmoid", "tanh", "silu", "gelu", "elu", "leaky_relu", "hardtanh",
    "hardswish", "hardsigmoid", "mish", "softplus", "bernoulli",
}  # fmt: skip


class _AnyDevice(TorchFunctionMode):
    """Moves nothing: whatever device a network asks for, its tensors stay on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (Tensor.cpu, Tensor.cuda):
            return args[0]
        if kwargs.get("device") is not None:
            kwargs["device"] = "meta"
        if func is Tensor.to:
            named = [isinstance(a, str | torch.device | int) and not isinstance(a, bool) for a in args[1:]]
            args = (args[0], *("meta" if n else a for n, a in zip(named, args[1:], strict=True)))
        return func(*args, **kwargs)


@contextmanager
def on_shapes() -> Iterator[None]:
    """A block in which tensors are made on the meta device, whatever device is asked for."""
    with torch.device("meta"), _AnyDevice():
        yield


def on_meta(module: nn.Module) -> nn.Module:
    """A copy of the module whose parameters and buffers take no memory; the module itself is unchanged.

    Raises:
        ModelError: the module cannot be copied.
    """
    kind = type(module).__name__
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ModelError(f"{kind} is compiled by TorchScript, which hides its layers; give the module itself")
    # Pruning and the older weight norm keep a computed weight as a plain attribute.
    plain = (value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor))
    try:
        memo = {id(tensor): _like(tensor) for tensor in (*module.parameters(), *module.buffers(), *plain)}
        return copy.deepcopy(module, memo)
    except Exception as error:  # a user's module may hold anything
        raise ModelError(f"{kind} cannot be copied: {type(error).__name__}: {in_one_line(error)}") from error


def _like(tensor: Tensor) -> Any:
    if is_lazy(tensor):
        lazy: Any = type(tensor)
        return lazy(tensor.requires_grad, device="meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(tensor.detach().to("meta"), tensor.requires_grad)
    return tensor.detach().to("meta")


def all_on_meta(values: Any) -> Any:
    """The same arguments with every tensor on the meta device: constants of a network lie on the CPU."""
    if all(tensor.device.type == "meta" for tensor in tensors(values)):
        return values
    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), values)


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


class MetaMode(TorchDispatchMode):
    """Runs operations on the meta device, whatever device their tensors are on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Never compiled; torch would import its compiler to make sure."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = all_on_meta((args, kwargs or {}))
        return self.run(func, named_arguments(func, args, kwargs), args, kwargs)

    def run(self, func: Any, arguments: Mapping[str, Any], args: Any, kwargs: Any) -> Any:
        """The output of an operation."""
        output = _quick_output(operation_name(func), arguments, func._schema.is_mutable)
        return func(*args, **kwargs) if output is None else output


def operation_name(func: Any) -> str:
    """ATen's name without the suffix `_` of in-place operations."""
    name: str = func._overloadpacket.__name__
    return name.rstrip("_")


def named_arguments(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """All arguments of an operation by ATen's names, defaults included."""
    schema = func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)} | kwargs
    return {argument.name: given.get(argument.name, argument.default_value) for argument in schema}


def _quick_output(name: str, arguments: Mapping[str, Any], in_place: bool) -> Any:
    """The output of the operation `name`, made without asking torch; None where torch has to be asked."""
    inputs = tensors(list(arguments.values()))
    if in_place:
        fits = name in _POINTWISE and arguments.get("out") is None
        return arguments["self"] if fits and _broadcast(inputs) == arguments["self"].shape else None
    if len({x.dtype for x in inputs}) != 1 or not inputs[0].is_floating_point():
        return None
    if name in _POINTWISE:
        return inputs[0].new_empty(_broadcast(inputs))
    make = _MAKERS.get(name)
    return make(arguments) if make else None


def _broadcast(inputs: Sequence[Tensor]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(tuple(x.shape) for x in inputs))


def _batch_norm(arguments: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    x = arguments["input"]
    kept = x.shape[1] if arguments["training"] else 0
    return x.new_empty(x.shape), x.new_empty(kept), x.new_empty(kept)


def _convolution(arguments: Mapping[str, Any]) -> Tensor | None:
    x, weight = arguments["input"], arguments["weight"]
    groups = arguments["groups"]
    if arguments["transposed"] or x.shape[1] != weight.shape[1] * groups:
        return None
    if weight.shape[0] % groups:  # torch notices it only where there are numbers to compute
        raise ValueError(f"{groups} groups do not divide {weight.shape[0]} output channels")
    sizes = _places(x.shape[2:], weight.shape[2:], arguments)
    out: Tensor | None = x.new_empty((x.shape[0], weight.shape[0], *sizes)) if sizes else None
    return out


def _max_pool(arguments: Mapping[str, Any]) -> tuple[Tensor, Tensor] | None:
    out = _mean_pool(arguments)
    return None if out is None else (out, out.new_empty(out.shape, dtype=torch.int64))


def _mean_pool(arguments: Mapping[str, Any]) -> Tensor | None:
    x, kernel = arguments["self"], list(arguments["kernel_size"])
    too_wide = any(2 * p > k for p, k in zip(arguments["padding"] * 2, kernel * 2, strict=False))
    if x.dim() != 4 or too_wide:
        return None  # torch says why, or knows what to do
    sizes = _places(x.shape[2:], kernel, {**arguments, "stride": arguments["stride"] or kernel})
    out: Tensor | None = x.new_empty((*x.shape[:2], *sizes)) if sizes else None
    return out


def _places(sizes: Sequence[int], kernel: Sequence[int], arguments: Mapping[str, Any]) -> list[int] | None:
    """floor((N + 2P − D(F − 1) − 1)/S) + 1 along every side; None where nothing is left.

    Pools that round up have one more, unless its window began behind the input and its padding.
    """
    count = len(sizes)
    options = [list(arguments.get(name, [1])) for name in ("stride", "padding", "dilation")]
    each = (values * count if len(values) == 1 else values for values in options)
    sides = zip(sizes, [*kernel, *kernel][:count], *each, strict=True)
    places = []
    for n, k, s, p, d in sides:
        room = n + 2 * p - d * (k - 1) - 1
        more = arguments.get("ceil_mode") and room % s and (room // s + 1) * s < n + p
        places.append(room // s + 1 + bool(more))
    return places if min(places) > 0 else None


def _upsampled(arguments: Mapping[str, Any]) -> Tensor | None:
    x, sizes = arguments["self"], list(arguments["output_size"])
    if x.dim() != len(sizes) + 2 or min(*x.shape[1:], *sizes) < 1:
        return None
    resized: Tensor = x.new_empty((*x.shape[:2], *sizes))
    return resized


def _cat(arguments: Mapping[str, Any]) -> Tensor | None:
    parts, first = arguments["tensors"], arguments["tensors"][0]
    dim = arguments["dim"]
    if not -first.dim() <= dim < first.dim():
        return None
    dim %= first.dim()
    if len({(*x.shape[:dim], *x.shape[dim + 1 :]) for x in parts}) != 1:
        return None
    size = sum(x.shape[dim] for x in parts)
    joined: Tensor = first.new_empty((*first.shape[:dim], size, *first.shape[dim + 1 :]))
    return joined


def _mean(arguments: Mapping[str, Any]) -> Tensor | None:
    x, dims = arguments["self"], arguments.get("dim")
    if not dims or arguments.get("dtype"):
        return None
    reduced = {dim % x.dim() for dim in dims}
    sizes = [1 if dim in reduced else size for dim, size in enumerate(x.shape)]
    if not arguments["keepdim"]:
        sizes = [size for dim, size in enumerate(x.shape) if dim not in reduced]
    mean: Tensor = x.new_empty(sizes)
    return mean


def _empty_like(arguments: Mapping[str, Any]) -> Tensor | None:
    x, others = arguments["self"], ("dtype", "layout", "device", "memory_format")
    plain = all(arguments.get(name) is None for name in others)
    made: Tensor | None = x.new_empty(x.shape) if plain else None
    return made


def _addmm(arguments: Mapping[str, Any]) -> Tensor | None:
    a, b = arguments["mat1"], arguments["mat2"]
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        return None
    product: Tensor = a.new_empty((a.shape[0], b.shape[1]))
    return product


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _mean_pool,
    "native_batch_norm": _batch_norm,
    **dict.fromkeys(
        (
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_linear1d",
            "upsample_bilinear2d",
            "upsample_bicubic2d",
            "_upsample_nearest_exact1d",
            "_upsample_nearest_exact2d",
        ),
        _upsampled,
    ),
    "cat": _cat,
    "mean": _mean,
    "empty_like": _empty_like,
    "addmm": _addmm,
}
