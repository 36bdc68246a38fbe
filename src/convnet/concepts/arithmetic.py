"""Convolution arithmetic: output size, parameters and window positions of one layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

from convnet.analysis.window import AXES, Side
from convnet.concepts.changes import LARGEST, changes
from convnet.concepts.padding import padded
from convnet.concepts.window_axis import Axis, axis_of, transposed_axis
from convnet.errors import ModelError

Kind = Literal["convolution", "transposed", "local", "pool"]
Sides = int | Sequence[int]


@dataclass(frozen=True)
class Arithmetic:
    """The arithmetic of one layer, along every side of its input.

    Attributes:
        kind: "convolution", "transposed", "local" (a separate kernel per position) or "pool".
        sides: Input size, kernel size, stride, padding and dilation per side.
        channels: Channels of the input.
        filters: Channels of the output.
        padding: The name of the padding, "same", …; None if it was given as numbers.
    """

    kind: Kind
    sides: tuple[Side, ...]
    channels: int
    filters: int
    padding: str | None = None

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The window positions along every side."""
        make = transposed_axis if self.kind == "transposed" else axis_of
        return tuple(make(side) for side in self.sides)

    @property
    def output(self) -> tuple[int, ...] | None:
        """The size of the output per side; None if nothing is left."""
        sizes = tuple(len(axis.starts) for axis in self.axes)
        return sizes if all(sizes) else None

    @property
    def fits(self) -> bool:
        """Whether the windows cover the padded input exactly."""
        return self.output is not None and (
            self.kind == "transposed" or all(side.room % side.stride == 0 for side in self.sides)
        )

    @property
    def weights_per_filter(self) -> int:
        """The number of weights of one filter, without its bias."""
        return 0 if self.kind == "pool" else math.prod(s.kernel_size for s in self.sides) * self.channels

    @property
    def kernels(self) -> int:
        """The number of kernels: one per filter, or per filter and position if weights are not shared."""
        if self.kind == "pool":
            return 0
        return self.filters * (math.prod(self.output or ()) if self.kind == "local" else 1)

    @property
    def parameters(self) -> int:
        """Weights and one bias per kernel."""
        return self.kernels * (self.weights_per_filter + 1) if self.output else 0

    @property
    def dense_parameters(self) -> int:
        """The parameters of a fully connected layer with the same inputs and outputs."""
        inputs = math.prod(side.size for side in self.sides) * self.channels
        return math.prod(self.output or ()) * self.filters * (inputs + 1) if self.output else 0

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """The extent of the input that one output reads, per side."""
        if self.kind == "transposed":
            return tuple(-(-side.span // side.stride) for side in self.sides)
        return tuple(side.span for side in self.sides)

    @property
    def formulas(self) -> list[str]:
        """The formula of the output size with its numbers, once for equal sides."""
        texts = (_transposed_formula(s) if self.kind == "transposed" else str(s) for s in self.sides)
        return list(dict.fromkeys(texts))

    @property
    def ignored(self) -> str | None:
        """The rows and columns of the input at the end that no window reads, in words; None for none."""
        if self.kind == "transposed" or self.output is None:
            return None
        left = zip(AXES[len(self.sides)], (axis.ignored for axis in self.axes), strict=True)
        parts = [name if count == 1 else f"{count} {name}s" for name, count in left if count]
        verb = "is" if len(parts) == 1 and not parts[0].endswith("s") else "are"
        return f"the last {' and '.join(parts)} {verb} ignored" if parts else None

    @property
    def verdict(self) -> str:
        """What the formula means, as an ending of its text: nothing if the windows fit."""
        if self.fits:
            return ""
        return (
            ": does not fit" if self.ignored or not self.output else ": rounded down, only zeros are left out"
        )

    def ways_out(self) -> list[str]:
        """Options of `convnet arithmetic` with which the windows fit, each with the output that it gives."""
        made = ((option, value, self._with(sides, option)) for option, value, sides in changes(self.sides))
        fitting = [way for way in made if way[2].fits] if not self.fits else []
        first = {option: value for option, value, _ in reversed(fitting)}
        chosen = [way for way in fitting if way[0] == "--input" or first[way[0]] == way[1]]
        return [f"{option} {value} ({by(found.output or ())})" for option, value, found in chosen]

    def _with(self, sides: tuple[Side, ...], option: str) -> Arithmetic:
        """The arithmetic with other sides; a named padding is computed again unless it was replaced."""
        if self.padding is None or option == "--padding":
            return replace(self, sides=sides, padding=None)
        return replace(self, sides=padded(sides, self.padding, transposed=self.kind == "transposed"))

    def to_dict(self) -> dict[str, Any]:
        """The settings and the results as plain values."""
        settings = {f.name: [getattr(side, f.name) for side in self.sides] for f in fields(Side)}
        return {
            "kind": self.kind,
            "input": settings.pop("size"),
            **settings,
            "channels": self.channels,
            "filters": self.filters,
            "output": None if self.output is None else list(self.output),
            "fits": self.fits,
            "formula": self.formulas,
            "ways_out": self.ways_out(),
            "weights_per_filter": self.weights_per_filter,
            "parameters": self.parameters,
            "dense_parameters": self.dense_parameters,
            "receptive_field": list(self.receptive_field),
        }

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{text}" for name, text in self._rows())

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "size", f"{'; '.join(self.formulas)}{self.verdict}"
        yield "output", self._output_text()
        if not self.fits and (self.ignored or not self.output):
            yield "to fit", ", ".join(self.ways_out()) or "no change of a single option fits"
        if self.output:
            yield "parameters", self._parameter_text()
        if self.output and self.kind != "pool":
            yield "dense layer", f"{self.dense_parameters:,} parameters for the same inputs and outputs"
        yield "reads", self._reads_text()

    def _output_text(self) -> str:
        if self.output is None:
            if self.kind == "transposed":
                return "none: the padding crops all of it"
            return "none: the window is larger than the padded input"
        depth = f"{self.filters:,} {'channel' if self.filters == 1 else 'channels'}"
        return f"{by(self.output)}, {depth}{f'; {self.ignored}' if self.ignored else ''}"

    def _reads_text(self) -> str:
        kernel = [side.kernel_size for side in self.sides]
        if self.kind == "transposed":
            return f"at most {by(self.receptive_field)} input positions per output"
        span = "" if list(self.receptive_field) == kernel else f", which span {by(self.receptive_field)}"
        return f"{by(kernel)} input positions per output{span}"

    def _parameter_text(self) -> str:
        if self.kind == "pool":
            return "0: a pool has no weights"
        if self.kind == "local":
            per = f"{by(self.output or ())} positions × {self.filters} × "
        else:
            per = f"{self.filters} × "
        product = "·".join(str(side.kernel_size) for side in self.sides)
        return f"{self.parameters:,} = {per}({product}·{self.channels} + 1), weights and bias of a filter"


def arithmetic(
    input: Sides,
    kernel: Sides,
    *,
    stride: Sides = 1,
    padding: Sides | Literal["valid", "same", "full", "causal"] = 0,
    dilation: Sides = 1,
    kind: Kind = "convolution",
    channels: int = 1,
    filters: int = 1,
) -> Arithmetic:
    """Compute the output size, the parameters and the window positions of a layer.

        >>> from convnet.concepts import arithmetic
        >>> print(arithmetic(7, 3, stride=3))
        size        (7 + 2·0 − 3)/3 + 1 = 2.33: does not fit
        output      2×2, 1 channel; the last row and column are ignored
        to fit      --padding 1 (3×3), --stride 2 (3×3), --input 6 (2×2), --input 9 (3×3)
        parameters  10 = 1 × (3·3·1 + 1), weights and bias of a filter
        dense layer 200 parameters for the same inputs and outputs
        reads       3×3 input positions per output

    Args:
        input: The size of the input: one number for a square image, (height, width), or (length,) for a
            signal.
        kernel: The size of the kernel; one number for all sides, or one per side. Likewise the next three.
        stride: The step of the window.
        padding: Zeros on either end, or "valid" (none), "same" (keeps the size at stride 1), "full",
            "causal" (all in front, so that no output reads later values).
        dilation: The distance between the values that a window reads.
        kind: "convolution", "transposed", "local" or "pool".
        channels: Channels of the input.
        filters: Channels of the output; a pool keeps those of the input.

    Returns:
        The arithmetic; print it, or use `output`, `parameters`, `fits`, `ways_out()`, `to_dict()`.

    Raises:
        ModelError: A number is out of range.
    """
    sizes = (input, input) if isinstance(input, int) else tuple(input)
    if len(sizes) not in AXES or len(sizes) > 2:
        raise ModelError(f"input: expected one or two sizes, got {len(sizes)}")
    sizes = _each("input", sizes, len(sizes), least=1)
    kernels = _each("kernel", kernel, len(sizes), least=1)
    strides = _each("stride", stride, len(sizes), least=1)
    dilations = _each("dilation", dilation, len(sizes), least=1)
    for name, value in {"channels": channels, "filters": filters}.items():
        _each(name, value, 1, least=1)
    bare = tuple(map(Side, sizes, kernels, strides, [(0, 0)] * len(sizes), dilations))
    if isinstance(padding, str):
        sides = padded(bare, padding, transposed=kind == "transposed")
    else:
        zeros = _each("padding", padding, len(sizes), least=0)
        sides = tuple(replace(side, padding=(n, n)) for side, n in zip(bare, zeros, strict=True))
    named = padding if isinstance(padding, str) else None
    return Arithmetic(kind, sides, channels, channels if kind == "pool" else filters, named)


def by(sizes: Sequence[int]) -> str:
    """Sizes as 5×5."""
    return "×".join(map(str, sizes))


def _each(name: str, value: Sides, count: int, *, least: int) -> tuple[int, ...]:
    """One number per side."""
    values = (value,) * count if isinstance(value, int) else tuple(value)
    if len(values) != count or not all(least <= number <= LARGEST for number in values):
        expected = f"{count} numbers" if count > 1 else "a number"
        got = ", ".join(map(str, values))
        raise ModelError(f"{name}: expected {expected} from {least} to {LARGEST:,}, got {got or 'none'}")
    return values


def _transposed_formula(side: Side) -> str:
    before, behind = side.padding
    zeros = f"2·{before}" if before == behind else f"({before} + {behind})"
    size = (side.size - 1) * side.stride - before - behind + side.span
    span = str(side.kernel_size) if side.dilation == 1 else f"({side.dilation}·{side.kernel_size - 1} + 1)"
    return f"({side.size} − 1)·{side.stride} − {zeros} + {span} = {size}"
