"""torch's meta device: tensors with a shape and a type, but without values and without memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._pytree import tree_leaves, tree_map_only

from convnet.errors import ModelError, in_one_line


def on_meta(module: nn.Module) -> nn.Module:
    """A copy of the module whose parameters and buffers take no memory; the module itself is left alone.

    Raises:
        ModelError: the module cannot be copied.
    """
    memo: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        if isinstance(tensor, UninitializedParameter):
            memo[id(tensor)] = UninitializedParameter(tensor.requires_grad, device="meta")  # type: ignore[call-arg, arg-type]
        elif isinstance(tensor, nn.Parameter):
            memo[id(tensor)] = nn.Parameter(tensor.detach().to("meta"), tensor.requires_grad)
        else:
            memo[id(tensor)] = tensor.to("meta")
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # a user's module may hold anything
        kind = type(module).__name__
        raise ModelError(f"{kind} cannot be copied: {type(error).__name__}: {in_one_line(error)}") from error


def all_on_meta(values: Any) -> Any:
    """The same arguments with every tensor on the meta device: constants of a network lie on the CPU."""
    if all(tensor.device.type == "meta" for tensor in tensors(values)):
        return values
    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), values)


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
