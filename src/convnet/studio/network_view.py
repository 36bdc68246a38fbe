"""The layers of a network as the page draws them: their operations, shapes, parameters and connections."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor, nn

from convnet.explain.capture import Capture, Operation
from convnet.studio.tensors import Picture

ACTIVATION, WEIGHT = "activation", "weight"
GRADIENT = "-gradient"
KINDS = (ACTIVATION, ACTIVATION + GRADIENT, WEIGHT, WEIGHT + GRADIENT)
INPUT = "input"
"""The name of the network's input among the layers."""
_HIDDEN = ("flatten", "view", "reshape", "dropout", "permute", "transpose", "contiguous", "getitem")
"""Operations that only move values or do nothing in evaluation mode."""
_WEIGHTED = ("conv", "linear", "batch_norm", "layer_norm", "FlattenLinear", "LocallyConnected2d")

Wanted = tuple[str, str]
"""The name of a layer and a kind of `KINDS`."""


def layers_of(found: Capture, network: nn.Module) -> list[dict[str, Any]]:
    """The operations of a network as plain values, in order; the first is the input."""
    listed: list[dict[str, Any]] = [
        {"name": INPUT, "kind": INPUT, "shape": list(found.input.shape[1:]), "inputs": [], "weight": None}
    ]
    for op in found.operations:
        weight = weight_of(op, network)
        listed.append(
            {
                "name": op.name,
                "kind": op.kind,
                "shape": list(op.output.shape[1:]),
                "inputs": list(dict.fromkeys(name or INPUT for name in _activation_inputs(op))),
                "weight": None if weight is None else list(weight.shape),
                "hidden": op.kind in _HIDDEN,
                "window": _window(op),
            }
        )
    return listed


def weight_of(op: Operation, network: nn.Module) -> nn.Parameter | None:
    """The weight of a layer that has one."""
    if not op.kind.startswith(_WEIGHTED):
        return None
    try:
        weight = getattr(network.get_submodule(op.module), "weight", None)
    except AttributeError:
        return None
    return weight if isinstance(weight, nn.Parameter) else None


def _activation_inputs(op: Operation) -> Sequence[str | None]:
    """The operations whose outputs an operation reads; weights are not among them."""
    if op.kind.startswith(_WEIGHTED):
        return op.inputs[:1]
    return op.inputs


def _window(op: Operation) -> str:
    """The kernel of a convolution or pool in words."""
    if op.kind.startswith("conv"):
        weight = op.argument(1, "weight")
        return "×".join(map(str, weight.shape[2:])) if isinstance(weight, Tensor) else ""
    if op.kind.startswith(("max_pool", "avg_pool")):
        size = op.argument(1, "kernel_size")
        return "×".join(map(str, size if isinstance(size, (tuple, list)) else (size, size)))
    return ""


def pictures_of(found: Capture, network: nn.Module, wanted: Collection[Wanted]) -> list[Picture]:
    """The tensors of some layers; what a layer does not have is left out."""
    pictures = [
        Picture(INPUT, kind, found.input[0]) for name, kind in wanted if (name, kind) == (INPUT, ACTIVATION)
    ]
    for op in found.operations:
        for kind in (kind for name, kind in wanted if name == op.name):
            values = _values(op, kind, network)
            if values is not None:
                pictures.append(Picture(op.name, kind, values))
    return pictures


def _values(op: Operation, kind: str, network: nn.Module) -> Tensor | None:
    if kind == ACTIVATION:
        return op.output[0]
    if kind == ACTIVATION + GRADIENT:
        return None if op.gradient is None else op.gradient[0]
    weight = weight_of(op, network)
    if weight is None or kind == WEIGHT:
        return weight
    return weight.grad
