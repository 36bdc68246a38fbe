"""The windows of a layer over its input, and the outputs that they give."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convnet.concepts.arithmetic import Arithmetic, by
from convnet.concepts.window_axis import Axis
from convnet.errors import ModelError
from convnet.reports.style import CYCLE, bare, figure

MOST_CELLS = 40
"""The largest side of a grid that is drawn."""
CELL = 0.3
"""The side of a cell in inches."""
GAP = 2.0
"""The distance between the two grids, in cells."""
VALUE, PADDING, LINE, IGNORED = "#dbe6f7", "#ffffff", "#8fa8cf", "#c43d4b"

Grid = tuple[Axis, Axis]


def window_figure(found: Arithmetic) -> Figure:
    """The input with the first, the second and the last window, and the output with their places.

    Raises:
        ModelError: There is nothing to draw, or too much.
    """
    require_drawable(found)
    rows, columns = grid_of(found)
    places = _shown(len(rows.starts), len(columns.starts))
    wide = len(columns.cells) + GAP + len(columns.starts)
    tall = max(len(rows.cells), len(rows.starts))
    with figure(max(4.2, CELL * (wide + 1)), CELL * (tall + 1) + 0.75) as picture:
        axes = picture.subplots()
        bare(axes)
        _draw_input(axes, (rows, columns))
        left = columns.cells.stop + GAP
        _draw_output(axes, len(rows.starts), len(columns.starts), left, rows.cells.start)
        for number, (i, j) in enumerate(places):
            color = CYCLE[number]
            for row in rows.reads(i):
                for column in columns.reads(j):
                    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=color, alpha=0.3))
            corner = (columns.starts[j], rows.starts[i])
            span = (columns.offsets[-1] + 1, rows.offsets[-1] + 1)
            axes.add_patch(Rectangle(corner, *span, fill=False, edgecolor=color, linewidth=2.2))
            place = (left + j, rows.cells.start + i)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=color, alpha=0.75))
        axes.set(xlim=(columns.cells.start - 0.2, left + len(columns.starts) + 0.2))
        axes.set_ylim(rows.cells.start + tall + 0.2, rows.cells.start - 1.1)
        axes.set_aspect("equal", anchor="W")
        heights = {columns.cells.start: input_caption(found), left: f"output {by(found.output or ())}"}
        for x, text in heights.items():
            axes.text(x, rows.cells.start - 0.35, text, fontsize=9, va="bottom")
        title = "; ".join(found.formulas) + found.verdict
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
    return picture


def require_drawable(found: Arithmetic) -> None:
    """Check that the layer has outputs, and few enough cells.

    Raises:
        ModelError: It has not.
    """
    if found.output is None:
        raise ModelError(
            "a window that is larger than the padded input cannot be drawn; use a larger --input"
        )
    largest = max(max(len(axis.cells), len(axis.starts)) for axis in found.axes)
    if largest > MOST_CELLS:
        raise ModelError(
            f"a grid of {largest} cells is too large to draw; pictures have at most {MOST_CELLS}"
        )


def grid_of(found: Arithmetic) -> Grid:
    """The axes of rows and columns; a signal has one row."""
    single = Axis(range(1), range(1), range(1), range(1))
    rows, columns = found.axes if len(found.axes) == 2 else (single, found.axes[0])
    return rows, columns


def input_caption(found: Arithmetic) -> str:
    """What the cells of the input are."""
    text = f"input {by([side.size for side in found.sides])}"
    if found.kind == "transposed" and any(side.stride > 1 for side in found.sides):
        return f"{text}, zeros in between"
    padded = any(sum(side.padding) for side in found.sides)
    return f"{text}, with padding" if padded else text


def _shown(rows: int, columns: int) -> list[tuple[int, int]]:
    """The first, the second and the last output."""
    places = [(0, 0), (0, 1) if columns > 1 else (min(1, rows - 1), 0), (rows - 1, columns - 1)]
    return list(dict.fromkeys(places))


def _draw_input(axes: Axes, grid: Grid) -> None:
    rows, columns = grid
    unread = (set(rows.unread), set(columns.unread))
    for row in rows.cells:
        for column in columns.cells:
            is_value = row in rows.values and column in columns.values
            axes.add_patch(Rectangle(
                (column, row), 1, 1, facecolor=VALUE if is_value else PADDING, edgecolor=LINE,
                linewidth=0.8 if is_value else 0.5, linestyle="-" if is_value else ":",
            ))  # fmt: skip
            if is_value and (row in unread[0] or column in unread[1]):
                axes.plot(
                    [column + 0.25, column + 0.75], [row + 0.25, row + 0.75], color=IGNORED, linewidth=1
                )
                axes.plot(
                    [column + 0.25, column + 0.75], [row + 0.75, row + 0.25], color=IGNORED, linewidth=1
                )
            elif not is_value:
                axes.text(column + 0.5, row + 0.5, "0", fontsize=6, ha="center", va="center", color="#8a8f98")


def _draw_output(axes: Axes, rows: int, columns: int, left: float, top: float) -> None:
    for row in range(rows):
        for column in range(columns):
            corner = (left + column, top + row)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="#eef1f5", edgecolor=LINE, linewidth=0.8))
