"""Paddings by name."""

from __future__ import annotations

from dataclasses import replace

from convnet.analysis.window import Side
from convnet.errors import ModelError
from convnet.layers.reference import same_ends

NAMES = ("valid", "same", "full", "causal")


def named_padding(name: str, side: Side, *, transposed: bool) -> tuple[int, int]:
    """The zeros before and behind, along one side.

    Raises:
        ModelError: There is no such padding, or it does not apply.
    """
    if name not in NAMES:
        raise ModelError(f"padding '{name}': expected a number, {', '.join(NAMES)}")
    if name == "same":
        if transposed:
            raise ModelError("padding 'same' does not apply to a transposed convolution; give a number")
        return same_ends(side.size, side.kernel_size, side.stride, side.dilation)
    if name == "causal":
        return side.span - 1, 0
    zeros = side.span - 1 if name == "full" else 0
    return zeros, zeros


def padded(sides: tuple[Side, ...], name: str, *, transposed: bool) -> tuple[Side, ...]:
    """The sides with a padding by name.

    Raises:
        ModelError: There is no such padding, or it does not apply.
    """
    return tuple(replace(side, padding=named_padding(name, side, transposed=transposed)) for side in sides)
