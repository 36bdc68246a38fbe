"""Which input pixels the places of a feature map depend on, along one axis, exactly (M25)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Sources = Callable[[int], Iterable[int]]

NOTHING = (1 << 60, -(1 << 60))
"""The interval of a place that depends on no pixel: its ends lose every comparison."""


@dataclass(frozen=True)
class Reach:
    """Place i depends on pixels `lows[i]` to `highs[i]`; place i + period on those `advance` further.

    Behind ordinary layers the period is 1 and the advance is the jump, the distance in pixels between
    neighbouring places. Behind up-sampling, neighbours may share their pixels, and the period is longer.
    Padding is thought of as pixels outside of the image, so that the field of a place at the border has the
    size of any other. An advance of 0 stands for a single field that all places share.
    """

    period: int
    advance: int
    lows: tuple[int, ...]
    highs: tuple[int, ...]

    @classmethod
    def pixels(cls) -> Reach:
        """The input itself: place i is pixel i."""
        return cls(1, 1, (0,), (0,))

    def at(self, place: int) -> tuple[int, int]:
        """The first and the last pixel that `place` depends on."""
        turns, rest = divmod(place, self.period)
        return self.lows[rest] + turns * self.advance, self.highs[rest] + turns * self.advance

    @property
    def size(self) -> int:
        """Pixels from the first to the last, of the place that reaches furthest."""
        return max(max(0, high - low + 1) for low, high in zip(self.lows, self.highs, strict=True))

    @property
    def jump(self) -> float:
        """Pixels between neighbouring places, on average."""
        return self.advance / self.period

    @property
    def start(self) -> float:
        """The centre of the first place's field; the centre of the first pixel is 0."""
        return (self.lows[0] + self.highs[0]) / 2

    def read(self, period: int, moved: int, sources: Sources) -> Reach:
        """Behind a layer whose place i reads the places `sources(i)` of this map.

        Place i + `period` reads those `moved` further.
        """
        if not self.advance:
            return self
        turns = self.period // math.gcd(self.period, moved)
        fields = [self._hull(map(self.at, sources(place))) for place in range(period * turns)]
        lows, highs = zip(*fields, strict=True)
        return Reach(period * turns, moved * turns // self.period * self.advance, lows, highs)._shortest()

    def window(self, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Reach:
        """Behind a convolution or a pool."""
        taps = range(-padding, kernel_size * dilation - padding, dilation)
        return self.read(1, stride, lambda i: [i * stride + tap for tap in taps])

    def transposed_window(self, kernel_size: int, stride: int, padding: int, dilation: int) -> Reach:
        """Behind a transposed convolution (M27)."""

        def sources(place: int) -> list[int]:
            taps = (place + padding - dilation * k for k in range(kernel_size))
            return [tap // stride for tap in taps if tap % stride == 0]

        return self.read(stride, 1, sources)

    def resized(self, step: Fraction, sources: Sources) -> Reach:
        """Behind a layer with `step` places of this map between neighbours, such as interpolation."""
        return self.read(step.denominator, step.numerator, sources)

    def all(self, places: int) -> Reach:
        """What all of the first `places` depend on together."""
        if not self.advance:
            return self
        ends = {*range(min(self.period, places)), *range(max(0, places - self.period), places)}
        low, high = self._hull(map(self.at, ends))  # the places between reach no further
        return Reach(1, 0, (low,), (high,))

    def only(self, place: int) -> Reach:
        """What one place depends on."""
        low, high = self.at(place)
        return Reach(1, 0, (low,), (high,))

    def joined(self, other: Reach, places: int) -> Reach | None:
        """Behind a sum or a concatenation of two maps; None where their places lie at different distances.

        Where all of the `places` of one share a field, they share everything behind it.
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
        """From the first to the last pixel of several fields."""
        ends: Sequence[tuple[int, int]] = [NOTHING, *fields]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _shortest(self) -> Reach:
        """The same with the shortest period."""
        for period in range(1, self.period):
            if self.period % period or self.advance * period % self.period:
                continue
            advance = self.advance * period // self.period
            short = Reach(period, advance, self.lows[:period], self.highs[:period])
            if all(short.at(i) == self.at(i) for i in range(self.period)):
                return short
        return self
