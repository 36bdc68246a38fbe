"""Rules for operations that reduce over whole dimensions, so that all positions share a field."""

from __future__ import annotations

from collections.abc import Iterable

from convnet.analysis.field import Field, join
from convnet.analysis.rules.table import Operation, each, elementwise, rule


@rule(
    "mean", "sum", "amax", "amin", "max", "min", "argmax", "argmin", "var", "var_mean", "std", "prod",
    "logsumexp", "linalg_vector_norm",
)  # fmt: skip
def _reduction(operation: Operation) -> Field | None:
    if operation.get("other") is not None:  # max(a, b) compares elements
        return elementwise(operation)
    field, dims = operation.field(), operation.get("dim")
    chosen = range(len(field.dims)) if dims is None or dims == [] else each(dims, 1)
    if not operation.get("keepdim"):
        return field.summed(chosen)
    for dim in chosen:
        field = field.summed([dim], keep=True).with_size(dim % len(field.dims), 1)
    return field


@rule("_softmax", "_safe_softmax", "_log_softmax", "cumsum")
def _along_one(operation: Operation) -> Field | None:
    return operation.field().summed([operation["dim"]], keep=True)


@rule("native_batch_norm", "_native_batch_norm_legit")
def _batch_norm(operation: Operation) -> Field | None:
    """With statistics of its input (always so in instance norm), every position depends on all."""
    if operation["training"]:
        return operation.field("input").summed(range(2, operation.out.dim()), keep=True)
    return elementwise(operation)


@rule("native_layer_norm", "native_group_norm")
def _norm(operation: Operation) -> Field | None:
    """Layer norm reduces over the normalized dimensions, group norm over all positions."""
    normed = operation.get("normalized_shape")
    dims: Iterable[int] = range(-len(normed), 0) if normed else range(1, operation.out.dim())
    return operation.field("input").summed(dims, keep=True)


@rule("mm", "addmm", "bmm", "baddbmm")
def _matmul(operation: Operation) -> Field | None:
    """The summed dimension is shared by all positions; the others are unchanged."""
    out, fields = operation.out, []
    left = next(name for name in ("mat1", "batch1", "self") if name in operation.arguments)
    right = next(name for name in ("mat2", "batch2") if name in operation.arguments)
    if (field := operation.lookup(operation[left])) is not None:
        fields.append(field.summed([-1], keep=True).with_size(out.dim() - 1, out.shape[-1]))
    if (field := operation.lookup(operation[right])) is not None:
        fields.append(field.summed([-2], keep=True).with_size(out.dim() - 2, out.shape[-2]))
    return join(fields) if fields else None


@rule(
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_attention_math",
)  # fmt: skip
def _attention(operation: Operation) -> Field | None:
    """Every position depends on all positions."""
    fields = [field.summed(range(len(field.dims)), keep=True) for field in operation.fields()]
    plain = fields[0].unknown(operation.out.shape).dims
    return join([Field(plain, field.reaches) for field in fields])
