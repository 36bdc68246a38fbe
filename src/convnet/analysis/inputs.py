"""The inputs of a network on the meta device, and what is wrong with their shapes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.meta import tensors

BATCH = 2
"""The inputs that are traced at once, so that a network that loses the batch axis is found."""

Shape = Sequence[int]
Shapes = Shape | Sequence[Shape] | Mapping[str, Shape]
"""The shape of one input, of several in order, or of several by name."""
Types = torch.dtype | Mapping[str, torch.dtype]
"""The type of all inputs, or of some by name."""


@dataclass(frozen=True)
class Inputs:
    """The shapes of a network's inputs, without the batch axis.

    Attributes:
        shapes: By position or name.
        dtype: The type of inputs without one in `dtypes`.
        form: How they are passed: "one", "several", "keywords", or "dictionary" as a single argument.
    """

    shapes: dict[str, tuple[int, ...]]
    dtype: torch.dtype
    form: str = "one"
    dtypes: Mapping[str, torch.dtype] = field(default_factory=dict)

    @property
    def first(self) -> tuple[int, ...]:
        """The shape of the first input."""
        return next(iter(self.shapes.values()))

    def arguments(self, count: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of `forward` for `count` inputs, on the meta device."""
        made = {
            name: torch.empty(count, *shape, dtype=self.dtypes.get(name, self.dtype), device="meta")
            for name, shape in self.shapes.items()
        }
        if self.form == "keywords":
            return (), made
        return ((made,), {}) if self.form == "dictionary" else (tuple(made.values()), {})


def parse_inputs(module: nn.Module, shapes: Shapes, dtype: Types | None) -> Inputs:
    """The inputs that `shapes` stand for.

    Args:
        module: The network. A dictionary becomes keyword arguments if its forward has parameters of those
            names, else a single argument.
        shapes: One shape, a sequence of shapes, or shapes by name.
        dtype: The type of the inputs, or types by the name or place of an input. Default: that of the
            weights, whole numbers before an embedding.

    Raises:
        ModelError: They are not shapes, or not types.
    """
    several = dtype if isinstance(dtype, Mapping) else {}
    for given in several.values() if isinstance(dtype, Mapping) else [dtype]:
        if not isinstance(given, torch.dtype | None):
            raise ModelError(f"dtype must be a torch.dtype such as torch.long, or some by name: {given!r}")
    chosen = dtype if isinstance(dtype, torch.dtype) else _dtype_of(module)
    if isinstance(shapes, Mapping):
        found = {str(name): _shape(shape) for name, shape in shapes.items()}
        form = "keywords" if _takes(module, found) else "dictionary"
    elif isinstance(shapes, Sequence) and shapes and all(isinstance(s, Sequence) for s in shapes):
        found, form = {str(i): _shape(shape) for i, shape in enumerate(shapes)}, "several"
    else:
        found, form = {"0": _shape(shapes)}, "one"
    if not found or (form == "one" and not found["0"]):
        raise ModelError(f"invalid input shape {shapes!r}: expected sizes, e.g. (3, 224, 224)")
    types = {str(name): given for name, given in several.items()}
    if unknown := types.keys() - found.keys():
        raise ModelError(f"dtype names the input '{min(unknown)}'; the inputs are {', '.join(found)}")
    return Inputs(found, chosen, form, types)


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else (None,)
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        raise ModelError(
            "input_shape must be a sequence of sizes, e.g. (3, 224, 224), or several of them in a list or a "
            f"dictionary, got {shape!r}"
        )
    if min(sizes, default=1) < 1:
        raise ModelError(f"invalid input shape {sizes}: every size must be at least 1")
    return sizes


def _dtype_of(module: nn.Module) -> torch.dtype:
    first = next((part for part in module.modules() if not list(part.children())), module)
    if isinstance(first, nn.Embedding | nn.EmbeddingBag):
        return torch.long
    floats = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(floats, torch.float32)


def _takes(module: nn.Module, names: Mapping[str, Any]) -> bool:
    parameters = inspect.signature(module.forward).parameters
    return names.keys() <= parameters.keys() or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def require_batch(output: Any, what: str) -> None:
    """Check that the first axis of a network's output is the batch.

    Raises:
        ModelError: It is not, or there is no tensor among the outputs.
    """
    found = tensors(output)
    if not found:
        raise ModelError(f"{what} returns {type(output).__name__}, which holds no tensor")
    shape = tuple(found[0].shape)
    if shape[:1] != (BATCH,):
        given = by(shape) or "one number"
        raise ModelError(
            f"{what} returns {given} for two inputs: the first axis of the output must be the batch; use "
            "flatten(1) or squeeze(dim) where it is lost"
        )


def missing_axis(module: nn.Module, x: Tensor, *, lazy: bool = False) -> str | None:
    """What is wrong with an input that torch would take for a single one, without a batch axis.

    A lazy layer has taken the batch for its channels.
    """
    if x.shape[:1] != (BATCH,):
        return None
    given = tuple(x.shape[1:])
    if isinstance(module, nn.RNNBase) and len(given) == 1:
        return (
            f"takes positions × {module.input_size} numbers but gets an input of {by(given)}: an axis is "
            f"missing; give {by((1, *given))}"
        )
    sides = _sides(module)
    if not sides or len(given) != sides:
        return None
    known = getattr(module, "in_channels", None) or getattr(module, "num_features", None) or 1
    channels = 1 if lazy else known
    axes = ("channels", *("depth", "height", "width")[-sides:]) if sides > 1 else ("channels", "length")
    return (
        f"takes {' × '.join(axes)} but gets an input of {by(given)}: the axis of the channels is missing; "
        f"give {by((channels, *given))}"
    )


def _sides(module: nn.Module) -> int:
    """The number of sides of the maps that a layer of torch takes; 0 for other modules."""
    if isinstance(module, nn.modules.conv._ConvNd):
        return len(module.kernel_size)
    if not type(module).__module__.startswith("torch.nn.modules."):
        return 0
    found = re.search(r"Pool([123])d$|(?:Batch|Instance)Norm([23])d$", type(module).__name__)
    return int(found[1] or found[2]) if found else 0


def by(sizes: Sequence[int]) -> str:
    """3×224×224."""
    return "×".join(map(str, sizes))
