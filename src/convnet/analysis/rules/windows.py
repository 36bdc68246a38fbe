"""Rules for operations that read neighboring positions: convolution, pooling, padding, resizing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from math import ceil, floor

from convnet.analysis.field import Field
from convnet.analysis.reach import Reach, Sources
from convnet.analysis.rules.table import Operation, Rule, each, rule


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
    """Both sides become one dimension."""
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
    def sources(step: Fraction) -> Sources:
        return lambda i: range(floor(i * step), ceil((i + 1) * step))

    return _resized(operation, len(operation["output_size"]), sources)


def _nearest(half: int) -> Rule:
    """Each position reads the nearest position of the input: floor((i + half/2)·step)."""

    def nearest(operation: Operation) -> Field | None:
        def sources(step: Fraction) -> Sources:
            above, below = step.numerator, 2 * step.denominator
            return lambda i: [(2 * i + half) * above // below]

        return _resized(operation, operation.out.dim() - 2, sources)

    return nearest


rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")(_nearest(0))
rule("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")(_nearest(1))


def _interpolated(beside: int) -> Rule:
    """Each position reads the two nearest positions of the input, and `beside` more on either side.

    One that falls on a position of the input reads nothing else: all other weights are zero there.
    """

    def interpolated(operation: Operation) -> Field | None:
        aligned = bool(operation["align_corners"])

        def sources(step: Fraction) -> Sources:
            above, below = step.numerator, step.denominator

            def read(i: int) -> Iterable[int]:
                parts = 2 * i * above if aligned else (2 * i + 1) * above - below
                low, rest = divmod(parts, 2 * below)
                return range(low - beside, low + beside + 2) if rest else [low]

            return read

        return _resized(operation, operation.out.dim() - 2, sources, aligned)

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


def _resized(
    operation: Operation, count: int, sources: Callable[[Fraction], Sources], aligned: bool = False
) -> Field:
    """The field after resizing the last `count` sides; `sources` returns the positions read, for a step."""
    field, out = operation.field(), operation.out
    for dim, factor in zip(range(-count, 0), _factors(operation, count), strict=True):
        before, after = field.shape[dim], out.shape[dim]
        if aligned:  # the centers of the first and last positions coincide
            step = Fraction(before - 1, max(1, after - 1))
        elif factor:  # torch uses the factor, not the ratio of the rounded sizes
            step = 1 / Fraction(factor).limit_denominator(1000)
        else:
            step = Fraction(before, after)
        field = field.along(dim, after, partial(Reach.resized, step=step, sources=sources(step)))
    return field


def _factors(operation: Operation, count: int) -> list[float | None]:
    """The scale factor of every side; None if the new size was given instead."""
    names = ["scales"] if count == 1 else [f"scales_{side}" for side in "dhw"[-count:]]
    return [operation.get(name) for name in names]
