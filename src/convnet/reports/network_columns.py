"""Several networks as columns of layers, aligned by the size of their maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from convnet.analysis.render import by, human
from convnet.analysis.table import Layer, LayerTable
from convnet.errors import ModelError
from convnet.reports.network_graph import FILL, INK, LINE, SOFT
from convnet.reports.style import bare, figure

WIDTH, HEIGHT, GAP = 104.0, 19.0, 4.0
"""A box and the distance between two, in points."""
MOST_NETWORKS, MOST_ROWS = 8, 120

Row = tuple[str, str]
"""The kind of a layer and its text."""
Stage = tuple[tuple[int, ...], list[Row]]
"""The size of the maps, and the layers that have it."""


def columns_figure(tables: Sequence[LayerTable]) -> Figure:
    """One column per network; stages of maps of equal size begin in one row.

    Raises:
        ModelError: There are too many networks or layers.
    """
    columns = [_stages(table) for table in tables]
    sizes = list(dict.fromkeys(size for stages in columns for size, _ in stages))
    sizes.sort(key=lambda size: (-len(size), [-side for side in size]))
    rows = {size: max(len(dict(stages).get(size, [])) for stages in columns) for size in sizes}
    total = sum(rows.values())
    if len(tables) > MOST_NETWORKS or total > MOST_ROWS:
        raise ModelError(
            f"a picture of columns has at most {MOST_NETWORKS} networks and {MOST_ROWS} layers, "
            f"got {len(tables)} and {total}"
        )
    step = HEIGHT + GAP
    left = 62.0
    width, height = left + len(tables) * (WIDTH + 10), (total + len(sizes) * 0.5 + 3) * step
    with figure((width + 16) / 72, (height + 20) / 72) as picture:
        picture.set_layout_engine("none")
        axes = picture.add_axes((0, 0, 1, 1))
        bare(axes)
        for column, table in enumerate(tables):
            x = left + column * (WIDTH + 10)
            axes.text(x + WIDTH / 2, 0, table.model, ha="center", fontsize=9, fontweight="bold", color=INK)
            millions = f"{human(table.parameters)} parameters"
            axes.text(x + WIDTH / 2, -12, millions, ha="center", fontsize=7.5, color=SOFT)
        y = -1.4 * step
        for size in sizes:
            axes.text(left - 8, y, by(size) or "vector", ha="right", va="center", fontsize=7.5, color=SOFT)
            for column, stages in enumerate(columns):
                for row, (kind, text) in enumerate(dict(stages).get(size, [])):
                    _box(axes, left + column * (WIDTH + 10), y - row * step, kind, text)
            y -= (rows[size] + 0.5) * step
        axes.set(xlim=(-6, width + 10), ylim=(-height, 20))
    return picture


def _box(axes: Axes, x: float, y: float, kind: str, text: str) -> None:
    style = "round,pad=0,rounding_size=3"
    axes.add_patch(FancyBboxPatch(
        (x, y - HEIGHT / 2), WIDTH, HEIGHT, style, facecolor=FILL[kind], edgecolor=LINE, linewidth=0.7,
    ))  # fmt: skip
    axes.text(x + WIDTH / 2, y, text, ha="center", va="center", fontsize=7.5, color=INK)


def _stages(table: LayerTable) -> list[Stage]:
    """The layers that compute, by the size of the maps that they give; a pool ends its stage."""
    rows: list[tuple[tuple[int, ...], Row]] = []
    size: tuple[int, ...] = tuple(table.input[1:])
    for layer in table.layers:
        row = _row(layer)
        if row is None or layer.output is None:
            continue
        after = tuple(layer.output[1:])
        rows.append((size if row[0] == "pool" and len(after) == len(size) else after, row))
        size = after
    merged: dict[tuple[int, ...], list[Row]] = {}
    for key, group in groupby(rows, key=lambda pair: pair[0]):
        merged.setdefault(key, []).extend(row for _, row in group)
    return list(merged.items())


def _row(layer: Layer) -> Row | None:
    """conv 3×3, 64; pool 2×2; dense 4096; None for layers that are not drawn."""
    if layer.output is None:
        return None
    if layer.window is not None:
        kernel = "×".join(str(side.kernel_size) for side in layer.window.sides)
        stride = layer.window.sides[0].stride
        if layer.parameters:
            return "conv", f"conv {kernel}, {layer.output[0]}" + (f" /{stride}" if stride > 1 else "")
        return "pool", f"pool {kernel} /{stride}"
    if layer.type == "LocalResponseNorm":
        return "other", "LRN"
    if layer.parameters and "Norm" not in layer.type and len(layer.output) == 1:
        return "dense", f"dense {layer.output[0]}"
    return None
