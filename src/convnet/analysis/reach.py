"""The exact input pixels that positions of a feature map depend on, along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Sources = Callable[[int], Iterable[int]]

LONGEST_PERIOD = 200_000
"""Several resizes by odd factors, with convolutions in between, multiply their periods."""

NOTHING = (1 << 60, -(1 << 60))
"""The interval of a position that depends on no pixel."""


@dataclass(frozen=True)
class Reach:
    """The pixels that the positions of a map depend on.

    Padding counts as pixels outside the image, so that positions at the border have fields of the same size.

    Attributes:
        period: The number of positions after which the pattern repeats; 1 except after up-sampling.
        advance: Position i + period depends on the pixels of position i, shifted by this number; 0 if all
            positions share one field.
        lows: The first pixel of each position in a period.
        highs: The last pixel of each position in a period.
    """

    period: int
    advance: int
    lows: tuple[int, ...]
    highs: tuple[int, ...]

    @classmethod
    def pixels(cls) -> Reach:
        """The reach of the input: position i is pixel i."""
        return cls(1, 1, (0,), (0,))

    def at(self, place: int) -> tuple[int, int]:
        """The first and last pixel that a position depends on."""
        turns, rest = divmod(place, self.period)
        return self.lows[rest] + turns * self.advance, self.highs[rest] + turns * self.advance

    @property
    def size(self) -> int:
        """The size of the largest field in pixels."""
        return max(max(0, high - low + 1) for low, high in zip(self.lows, self.highs, strict=True))

    @property
    def jump(self) -> float:
        """The mean number of pixels between neighboring positions."""
        return self.advance / self.period

    @property
    def start(self) -> float:
        """Where the first position's field has its center; the center of the first pixel is 0.

        Centers lie at start + place·jump: all of them at period 1, else on average over a period.
        """
        doubled = [
            (low + high) * self.period - 2 * place * self.advance
            for place, (low, high) in enumerate(zip(self.lows, self.highs, strict=True))
            if low <= high  # behind the gaps of an up-convolution, positions may depend on nothing
        ]
        return sum(doubled) / (2 * self.period * len(doubled)) if doubled else 0.0

    def center(self, place: int) -> float:
        """The center of the field of one position."""
        low, high = self.at(place)
        return (low + high) / 2

    def read(self, period: int, moved: int, sources: Sources) -> Reach | None:
        """The reach after a layer whose position i reads the positions `sources(i)` of this map.

        Position i + `period` reads those shifted by `moved`. None if the pattern hardly ever repeats.
        """
        if not self.advance:
            return self
        turns = self.period // math.gcd(self.period, moved)
        if period * turns > LONGEST_PERIOD:
            return None
        fields = [self._hull(map(self.at, sources(place))) for place in range(period * turns)]
        lows, highs = zip(*fields, strict=True)
        return Reach(period * turns, moved * turns // self.period * self.advance, lows, highs)._shortest()

    def window(self, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Reach | None:
        """The reach after a convolution or a pool."""
        taps = range(-padding, kernel_size * dilation - padding, dilation)
        return self.read(1, stride, lambda i: [i * stride + tap for tap in taps])

    def transposed_window(self, kernel_size: int, stride: int, padding: int, dilation: int) -> Reach | None:
        """The reach after a transposed convolution."""

        def sources(place: int) -> list[int]:
            taps = (place + padding - dilation * k for k in range(kernel_size))
            return [tap // stride for tap in taps if tap % stride == 0]

        return self.read(stride, 1, sources)

    def resized(self, step: Fraction, sources: Sources) -> Reach | None:
        """The reach after interpolation, with `step` positions of this map between neighbors."""
        return self.read(step.denominator, step.numerator, sources)

    def all(self, places: int) -> Reach:
        """The joint reach of the first `places` positions."""
        if not self.advance:
            return self
        ends = {*range(min(self.period, places)), *range(max(0, places - self.period), places)}
        low, high = self._hull(map(self.at, ends))  # positions in between reach no further
        return Reach(1, 0, (low,), (high,))

    def only(self, place: int) -> Reach:
        """The reach of a single position."""
        low, high = self.at(place)
        return Reach(1, 0, (low,), (high,))

    def joined(self, other: Reach, places: int) -> Reach | None:
        """The reach after a sum or a concatenation of two maps; None if their jumps differ.

        If all positions of one map share a field, all positions of the result do.
        """
        if not (self.advance and other.advance):
            low, high = self._hull([self.all(places).at(0), other.all(places).at(0)])
            return Reach(1, 0, (low,), (high,))
        if self.advance * other.period != other.advance * self.period:
            return None
        period = math.lcm(self.period, other.period)
        fields = [self._hull([self.at(place), other.at(place)]) for place in range(period)]
        lows, highs = zip(*fields, strict=True)
        return Reach(period, period // self.period * self.advance, lows, highs)._shortest()

    @staticmethod
    def _hull(fields: Iterable[tuple[int, int]]) -> tuple[int, int]:
        """The interval that covers several fields."""
        ends: Sequence[tuple[int, int]] = [NOTHING, *fields]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _shortest(self) -> Reach:
        """The same reach with the shortest period."""
        for period in range(1, self.period):
            if self.period % period or self.advance * period % self.period:
                continue
            advance = self.advance * period // self.period
            short = Reach(period, advance, self.lows[:period], self.highs[:period])
            if all(short.at(i) == self.at(i) for i in range(self.period)):
                return short
        return self
