"""Single changes of a layer with which its windows may fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convnet.analysis.window import Side

LARGEST = 65_536
"""The largest input, kernel, stride, padding and number of channels."""
Attempt = tuple[str, str, tuple[Side, ...]]
"""The option that is changed, its value, and the sides with it."""


def changes(sides: tuple[Side, ...]) -> list[Attempt]:
    """More padding, smaller strides, and the next smaller and larger input."""
    return [*_paddings(sides), *_strides(sides), *_inputs(sides)]


def _paddings(sides: tuple[Side, ...]) -> Iterator[Attempt]:
    for zeros in range(1, max(side.span for side in sides)):
        yield "--padding", str(zeros), tuple(replace(side, padding=(zeros, zeros)) for side in sides)


def _strides(sides: tuple[Side, ...]) -> Iterator[Attempt]:
    for stride in range(max(side.stride for side in sides) - 1, 0, -1):
        yield "--stride", str(stride), tuple(replace(side, stride=stride) for side in sides)


def _inputs(sides: tuple[Side, ...]) -> Iterator[Attempt]:
    """The next smaller and larger input, for square inputs with equal options."""
    if len(set(sides)) != 1:
        return
    side = sides[0]
    below = side.size - side.room % side.stride
    sizes = [below, below + side.stride] if side.room >= 0 else [side.size - side.room]
    for size in (size for size in sizes if 0 < size <= LARGEST):
        yield "--input", str(size), tuple(replace(side, size=size) for _ in sides)
