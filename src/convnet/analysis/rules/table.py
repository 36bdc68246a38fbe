"""The table of rules for receptive fields, and the rule for elementwise operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convnet.analysis.field import Field, join


@dataclass(frozen=True)
class Operation:
    """An operation: its arguments by ATen's names, its output, and a lookup of the fields of tensors."""

    arguments: Mapping[str, Any]
    out: Tensor
    lookup: Callable[[Tensor], Field | None]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that some variants of the operation lack."""
        return self.arguments.get(name, default)

    def field(self, name: str = "self") -> Field:
        """The field of a tensor among the arguments.

        Raises:
            LookupError: The tensor does not depend on the input.
        """
        found = self.lookup(self.arguments[name])
        if found is None:
            raise LookupError(name)
        return found

    def fields(self) -> list[Field]:
        """The fields of all arguments that depend on the input."""
        return list(self._fields_in(list(self.arguments.values())))

    def _fields_in(self, value: Any) -> Iterator[Field]:
        if isinstance(value, list | tuple):
            for item in value:
                yield from self._fields_in(item)
        elif isinstance(value, Tensor) and (found := self.lookup(value)) is not None:
            yield found


Rule = Callable[[Operation], Field | None]
"""Returns the field of the output; None if it is unknown."""

_RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under ATen's names of operations."""

    def add(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return add


def has_rule(name: str) -> bool:
    """Whether there is a rule for the operation."""
    return name in _RULES


def propagate(
    name: str,
    pointwise: bool,
    lookup: Callable[[Tensor], Field | None],
    arguments: Mapping[str, Any],
    out: Tensor,
) -> Field | None:
    """The field of the output of an operation; None if it does not depend on the input.

    The field is unknown if there is no rule, unless the operation is pointwise.
    """
    operation = Operation(arguments, out, lookup)
    inputs = operation.fields()
    if not inputs:
        return None
    found = _RULES.get(name) or (elementwise if pointwise else None)
    try:
        field = found(operation) if found else None
    except (LookupError, ValueError):  # arguments that the rule does not cover
        field = None
    known = field is not None and field.shape == tuple(out.shape)
    return field if known else inputs[0].unknown(out.shape)


@rule(
    "_native_batch_norm_legit_no_training", "native_dropout", "clone", "alias", "detach", "_to_copy", "copy",
    "lift_fresh",
)  # fmt: skip
def elementwise(operation: Operation) -> Field | None:
    """Every element depends on the corresponding elements of all inputs."""
    return join([field.expanded(operation.out.shape) for field in operation.fields()])


def each(value: Any, count: int) -> list[Any]:
    """One entry per side, from a number, a list of one number, or a list of all."""
    values = list(value) if isinstance(value, Sequence) else [value]
    return values * count if len(values) == 1 else values
