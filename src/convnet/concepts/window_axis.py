"""The positions of a sliding window along one side, in cells."""

from __future__ import annotations

from dataclasses import dataclass

from convnet.analysis.window import Side


@dataclass(frozen=True)
class Axis:
    """The cells along one side, and the windows over them.

    Cell 0 is the first value of the input. Of a transposed convolution, the values of the input lie `stride`
    cells apart, with zeros between them, and the window moves by one cell.

    Attributes:
        cells: All cells: those of the input and of the padding.
        values: The cells that hold values of the input, in order.
        starts: The first cell of every window; one window per output.
        offsets: The cells that a window reads, relative to its first.
    """

    cells: range
    values: range
    starts: range
    offsets: range

    def reads(self, output: int) -> list[int]:
        """The cells that an output reads."""
        return [self.starts[output] + offset for offset in self.offsets]

    @property
    def ignored(self) -> int:
        """The number of values at the end that no window reads, where the values are not spread out."""
        last = max((self._last_at(offset) for offset in self.offsets), default=-1)
        return len(self.values) - 1 - last

    def _last_at(self, offset: int) -> int:
        """The last value that any window reads at an offset; −1 if there is none."""
        number = (self.values[-1] - offset - self.starts.start) // self.starts.step
        if number < 0 or not self.starts:
            return -1
        return max(-1, self.starts[min(number, len(self.starts) - 1)] + offset)

    @property
    def unread(self) -> list[int]:
        """The values of the input that no window reads."""
        read = {cell for output in range(len(self.starts)) for cell in self.reads(output)}
        return [cell for cell in self.values if cell not in read]


def axis_of(side: Side) -> Axis:
    """The windows of a convolution or a pool."""
    before, behind = side.padding
    count = max(0, side.room // side.stride + 1)
    return Axis(
        cells=range(-before, side.size + behind),
        values=range(side.size),
        starts=range(-before, -before + count * side.stride, side.stride),
        offsets=range(0, side.span, side.dilation),
    )


def transposed_axis(side: Side) -> Axis:
    """The windows of a transposed convolution: stride 1 over an input with stride − 1 zeros in between.

    Output o reads input i with the weight k where o = i·S − P + k·D, so that its window begins at cell
    o + P − D(K − 1).
    """
    before, behind = side.padding
    last = (side.size - 1) * side.stride
    count = max(0, last + side.span - before - behind)
    first = before - (side.span - 1)
    end = first + count + side.span - 1
    return Axis(
        cells=range(min(0, first), max(last + 1, end)),
        values=range(0, last + 1, side.stride),
        starts=range(first, first + count),
        offsets=range(0, side.span, side.dilation),
    )
