"""An animated SVG of a window that slides over its input, one output at a time."""

from __future__ import annotations

from itertools import product

from convnet.concepts.arithmetic import Arithmetic, by
from convnet.reports.drawings.window_figure import grid_of, input_caption, require_drawable
from convnet.reports.html import render

SIDE = 26
"""The side of a cell in pixels."""
MARGIN, TOP, GAP = 12, 52, 40
STEP = 0.6
"""The seconds per output."""
NARROWEST = 420


def window_animation(found: Arithmetic) -> bytes:
    """The animation as an SVG file; it stands still for readers who prefer reduced motion.

    The cells of the group `window` lie where the first output reads; a CSS animation moves them to every
    further output.

    Raises:
        ModelError: There is nothing to draw, or too much.
    """
    require_drawable(found)
    rows, columns = grid_of(found)
    output_left = MARGIN + len(columns.cells) * SIDE + GAP

    def x(column: int) -> int:
        return MARGIN + (column - columns.cells.start) * SIDE

    def y(row: int) -> int:
        return TOP + (row - rows.cells.start) * SIDE

    outputs = list(product(range(len(rows.starts)), range(len(columns.starts))))
    steps = [
        {
            "percent": f"{100 * number / len(outputs):.4f}",
            "window": (x(columns.starts[j]) - x(columns.starts[0]), y(rows.starts[i]) - y(rows.starts[0])),
            "result": (j * SIDE, i * SIDE),
        }
        for number, (i, j) in enumerate(outputs)
    ]
    text = render(
        "window.svg",
        title="; ".join(found.formulas) + found.verdict,
        captions=(input_caption(found), f"output {by(found.output or ())}"),
        width=max(NARROWEST, output_left + len(columns.starts) * SIDE + MARGIN),
        height=TOP + max(len(rows.cells), len(rows.starts)) * SIDE + MARGIN,
        margin=MARGIN,
        top=TOP,
        side=SIDE,
        output_left=output_left,
        seconds=f"{STEP * len(outputs):g}",
        steps=steps,
        cells=[
            {"x": x(j), "y": y(i), "kind": "value" if i in rows.values and j in columns.values else "padding"}
            for i, j in product(rows.cells, columns.cells)
        ],
        places=[{"x": output_left + j * SIDE, "y": TOP + i * SIDE} for i, j in outputs],
        reads=[{"x": x(j), "y": y(i)} for i, j in product(rows.reads(0), columns.reads(0))],
        frame={
            "x": x(columns.starts[0]),
            "y": y(rows.starts[0]),
            "width": (columns.offsets[-1] + 1) * SIDE,
            "height": (rows.offsets[-1] + 1) * SIDE,
        },
    )
    return text.encode()
