"""Operations that read neighbouring places: convolution, pooling, padding, resizing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from convnet.analysis.field import Field
from convnet.analysis.reach import Reach
from convnet.analysis.rules.table import Operation, Rule, each, rule

SourcesFor = Callable[[int, int], Callable[[int], Iterable[int]]]
"""From the sizes before and after to the places that each place reads."""


@rule("convolution")
def _convolution(operation: Operation) -> Field | None:
    weight, out = operation["weight"], operation.out
    if operation.lookup(weight) is not None:
        return None  # the kernel itself depends on the input
    window = Reach.transposed_window if operation["transposed"] else Reach.window
    field = operation.field("input").summed([1], keep=True).with_size(1, out.shape[1])
    count = weight.dim() - 2
    options = [each(operation[name], count) for name in ("stride", "padding", "dilation")]
    for side, kernel_size in enumerate(weight.shape[2:]):
        stride, padding, dilation = (values[side] for values in options)
        change = partial(window, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
        field = field.along(side + 2, out.shape[side + 2], change)
    return field


@rule(
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
)
def _pool(operation: Operation) -> Field | None:
    kernels, field = operation["kernel_size"], operation.field()
    count = len(kernels)
    kernels = each(kernels, count)
    strides = each(operation.get("stride") or kernels, count)
    paddings, dilations = each(operation["padding"], count), each(operation.get("dilation", 1), count)
    for side, (k, s, p, d) in enumerate(zip(kernels, strides, paddings, dilations, strict=True)):
        change = partial(Reach.window, kernel_size=k, stride=s, padding=p, dilation=d)
        field = field.along(side - count, operation.out.shape[side - count], change)
    return field


@rule("im2col")
def _patches_as_columns(operation: Operation) -> Field | None:
    """The two sides become one dimension."""
    field, sides = operation.field(), operation["self"].shape[2:]
    for side, size in enumerate(sides):
        k, s, p, d = (operation[name][side] for name in ("kernel_size", "stride", "padding", "dilation"))
        places = (size + 2 * p - d * (k - 1) - 1) // s + 1
        field = field.along(
            side + 2, places, partial(Reach.window, kernel_size=k, stride=s, padding=p, dilation=d)
        )
    return field.summed([1], keep=True).with_size(1, operation.out.shape[1]).reshaped(operation.out.shape)


@rule("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def _pad(operation: Operation) -> Field | None:
    field, amounts = operation.field(), operation.get("pad") or operation["padding"]
    for place, before in enumerate(amounts[::2]):
        dim = -1 - place
        if any(axis is not None for axis, _ in field.dims[dim]):
            change = partial(Reach.window, kernel_size=1, padding=before)
            field = field.along(dim, operation.out.shape[dim], change)
        else:
            field = field.with_size(dim % len(field.dims), operation.out.shape[dim])
    return field


@rule(
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
)  # fmt: skip
def _adaptive_pool(operation: Operation) -> Field | None:
    def sources(before: int, after: int) -> Callable[[int], Iterable[int]]:
        return lambda i: range(i * before // after, -(-(i + 1) * before // after))

    return _resized(operation, len(operation["output_size"]), sources)


@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def _nearest(operation: Operation) -> Field | None:
    def sources(before: int, after: int) -> Callable[[int], Iterable[int]]:
        return lambda i: [i * before // after]

    return _resized(operation, operation.out.dim() - 2, sources)


def _interpolated(beside: int) -> Rule:
    """Each place reads the two places around its own in the smaller map, and `beside` more on both sides."""

    def interpolated(operation: Operation) -> Field | None:
        aligned = bool(operation["align_corners"])

        def sources(before: int, after: int) -> Callable[[int], Iterable[int]]:
            # The place in the smaller map is a fraction: (i · step + shift) / over.
            step, shift, over = (before, 0, after) if aligned else (2 * before, before - after, 2 * after)
            return lambda i: range(
                (i * step + shift) // over - beside, -(-(i * step + shift) // over) + beside + 1
            )

        # Aligned corners: the distances between first and last places correspond, not the sizes.
        return _resized(operation, operation.out.dim() - 2, sources, less=int(aligned))

    return interpolated


rule("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")(_interpolated(0))
rule("upsample_bicubic2d")(_interpolated(1))


@rule("pixel_shuffle")
def _pixel_shuffle(operation: Operation) -> Field | None:
    factor, field, out = operation["upscale_factor"], operation.field(), operation.out
    for dim in (-2, -1):
        field = field.along(dim, out.shape[dim], lambda reach: reach.read(factor, 1, lambda i: [i // factor]))
    return field.summed([-3], keep=True).with_size(out.dim() - 3, out.shape[-3])


@rule("pixel_unshuffle")
def _pixel_unshuffle(operation: Operation) -> Field | None:
    factor, field, out = operation["downscale_factor"], operation.field(), operation.out
    for dim in (-2, -1):
        field = field.along(dim, out.shape[dim], partial(Reach.window, kernel_size=factor, stride=factor))
    return field.summed([-3], keep=True).with_size(out.dim() - 3, out.shape[-3])


def _resized(operation: Operation, count: int, sources: SourcesFor, less: int = 0) -> Field:
    """The last `count` sides get new sizes; sizes less `less` correspond to each other."""
    field, out = operation.field(), operation.out
    for dim in range(out.dim() - count, out.dim()):
        before, after = field.shape[dim] - less, out.shape[dim] - less
        change = partial(Reach.resized, before=before, after=after, sources=sources(before, after))
        field = field.along(dim, out.shape[dim], change)
    return field
