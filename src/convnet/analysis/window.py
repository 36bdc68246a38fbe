"""The sliding window of a convolution or a pool, and its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AXES = {1: ("position",), 2: ("row", "column"), 3: ("plane", "row", "column")}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_POOLS = {f"{kind}_pool{sides}d" for kind in ("max", "avg") for sides in (1, 2, 3)}


@dataclass(frozen=True)
class Side:
    """The window along one side of the input: sizes in pixels, zeros before and after."""

    size: int
    kernel_size: int
    stride: int
    padding: tuple[int, int]
    dilation: int

    @property
    def span(self) -> int:
        """The extent of the window in pixels: D(F − 1) + 1."""
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def room(self) -> int:
        """The distance that the window can move: N + 2P − D(F − 1) − 1."""
        return self.size + sum(self.padding) - self.span

    @property
    def unread(self) -> int:
        """The number of pixels at the end that no window reaches, if windows overlap or touch."""
        return max(0, self.room % self.stride - self.padding[1]) if self.span >= self.stride else 0

    def __str__(self) -> str:
        """The formula with its numbers, e.g. (7 + 2·0 − 3)/3 + 1 = 2.33."""
        before, behind = self.padding
        zeros = f"2·{before}" if before == behind else f"{before} + {behind}"
        span = str(self.kernel_size) if self.dilation == 1 else f"{self.dilation}·{self.kernel_size - 1} − 1"
        places = f"{self.room / self.stride + 1:.2f}".rstrip("0").rstrip(".")
        return f"({self.size} + {zeros} − {span})/{self.stride} + 1 = {places}"


@dataclass(frozen=True)
class Window:
    """A window over an image or a signal, with one Side per dimension; pools may round up."""

    sides: tuple[Side, ...]
    transposed: bool = False
    rounds_up: bool = False

    @property
    def impossible(self) -> str | None:
        """The reason why the window does not fit; None if it fits."""
        for side in self.sides:
            if side.stride < 1 or side.kernel_size < 1 or side.dilation < 1:
                return (
                    f"kernel size, stride and dilation must be at least 1, "
                    f"got {side.kernel_size}, {side.stride} and {side.dilation}"
                )
            missing = side.stride - 1 if self.rounds_up else 0  # pools that round up may lack that much
            if not self.transposed and side.room < -missing:
                return f"{side}: nothing is left"
        return None

    @property
    def complaint(self) -> str | None:
        """A note on pixels that are ignored because the stride does not fit; None if it fits."""
        if self.transposed or self.rounds_up:
            return None
        parts: dict[str, list[str]] = {}
        for side, axis in zip(self.sides, AXES[len(self.sides)], strict=True):
            if side.unread:
                parts.setdefault(str(side), []).append(_count(side.unread, axis))
        texts = []
        for arithmetic, ignored in parts.items():
            verb = "is" if ignored in [[axis] for axis in ("position", "row", "column", "plane")] else "are"
            texts.append(f"{arithmetic}: the last {' and '.join(ignored)} {verb} ignored")
        return "; ".join(texts) or None


def window_of(name: str, arguments: Mapping[str, Any], padded: Window | None) -> Window | None:
    """The window of an operation by ATen's name and arguments; None if it has none.

    `padded` is the preceding padding, as returned by `pad_of`.
    """
    if name == "convolution":
        sizes, kernels = arguments["input"].shape[2:], list(arguments["weight"].shape[2:])
    elif name.removesuffix("_with_indices") in _POOLS or name == "im2col":
        kernels = list(arguments["kernel_size"])
        sizes = arguments["self"].shape[-len(kernels) :]
    else:
        return None
    count = len(kernels)
    strides = _each(arguments.get("stride") or kernels, count)
    paddings = [(p, p) for p in _each(arguments.get("padding", 0), count)]
    dilations = _each(arguments.get("dilation", 1), count)
    if padded is not None and len(padded.sides) == count:
        sizes = [side.size for side in padded.sides]
        before = [side.padding for side in padded.sides]
        paddings = [(a + p, b + q) for (a, b), (p, q) in zip(before, paddings, strict=True)]
    sides = map(Side, sizes, kernels, strides, paddings, dilations)
    return Window(tuple(sides), bool(arguments.get("transposed")), bool(arguments.get("ceil_mode")))


def pad_of(name: str, arguments: Mapping[str, Any]) -> Window | None:
    """Padding as an operation of its own, as a window of one pixel."""
    if name != "constant_pad_nd":
        return None
    amounts, sizes = arguments["pad"], arguments["self"].shape
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))[::-1]  # the last side comes first there
    spatial = sizes[2:]
    pairs = [(0, 0)] * (len(spatial) - len(pairs)) + pairs
    if len(pairs) != len(spatial) or not 1 <= len(spatial) <= 3 or min(amounts) < 0:
        return None  # it pads channels as well, or cuts
    return Window(tuple(Side(size, 1, 1, pair, 1) for size, pair in zip(spatial, pairs, strict=True)))


def _each(value: Any, count: int) -> list[Any]:
    values = list(value) if isinstance(value, Sequence) else [value]
    return values * count if len(values) == 1 else values


def _count(number: int, axis: str) -> str:
    if number == 1:
        return axis
    return f"{_NUMBERS[number] if number < len(_NUMBERS) else number} {axis}s"
