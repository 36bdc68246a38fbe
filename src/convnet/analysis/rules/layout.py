"""Operations that move numbers without changing them."""

from __future__ import annotations

from functools import partial

from convnet.analysis.field import Field, join
from convnet.analysis.reach import Reach
from convnet.analysis.rules.table import Operation, each, rule


@rule("view", "_unsafe_view", "_reshape_alias", "reshape")
def _reshape(operation: Operation) -> Field | None:
    return operation.field().reshaped(operation.out.shape)


@rule("permute", "t", "transpose")
def _permute(operation: Operation) -> Field | None:
    count = operation.out.dim()
    order = list(range(count))
    if "dims" in operation.arguments:
        order = [dim % count for dim in operation["dims"]]
    elif count > 1:
        a, b = operation.get("dim0", 0), operation.get("dim1", 1)
        order[a], order[b] = order[b], order[a]
    return operation.field().permuted(order)


@rule("unsqueeze")
def _unsqueeze(operation: Operation) -> Field | None:
    return operation.field().unsqueezed(operation["dim"] % operation.out.dim())


@rule("squeeze")
def _squeeze(operation: Operation) -> Field | None:
    field = operation.field()
    dims = each(operation.get("dim", range(len(field.dims))), 1)
    return field.summed([dim for dim in dims if field.shape[dim] == 1])


@rule("expand", "broadcast_to")
def _expand(operation: Operation) -> Field | None:
    return operation.field().expanded(operation.out.shape)


@rule("select")
def _select(operation: Operation) -> Field | None:
    return operation.field().picked(operation["dim"], operation["index"])


@rule("slice")
def _slice(operation: Operation) -> Field | None:
    dim, field = operation["dim"], operation.field()
    start, _, step = slice(operation["start"], None, operation["step"]).indices(field.shape[dim])
    change = partial(Reach.window, kernel_size=1, stride=step, padding=-start)
    if all(axis is None for axis, _ in field.dims[dim]):
        return field.with_size(dim % len(field.dims), operation.out.shape[dim])
    return field.along(dim, operation.out.shape[dim], change)


@rule("split", "split_with_sizes", "unbind")
def _split(operation: Operation) -> Field | None:
    dim, field = operation["dim"], operation.field()
    if any(axis is not None for axis, _ in field.dims[dim]):
        return None  # which of the parts this is would have to be known
    if operation.out.dim() < len(field.dims):
        return field.summed([dim])
    return field.with_size(dim % len(field.dims), operation.out.shape[dim])


@rule("cat")
def _cat(operation: Operation) -> Field | None:
    dim = operation["dim"] % operation.out.dim()
    fields = operation.fields()
    if any(axis is not None for field in fields for axis, _ in field.dims[dim]):
        return None  # maps side by side: their places have no common distance
    return join([field.with_size(dim, operation.out.shape[dim]) for field in fields])
