"""Draw the graph of a network: branches, skip connections and nested blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Curve

from convnet.analysis.graph import NetworkGraph, Node
from convnet.analysis.render import by
from convnet.errors import ModelError
from convnet.reports.graph_layout import Box, Layout, Point, place
from convnet.reports.style import bare, figure

FILL = {
    "input": "#eef1f5", "conv": "#cfdef5", "pool": "#d3ead9", "dense": "#f6d9c4", "join": "#ffffff",
    "block": "#e6dcf0", "other": "#eef1f5",
}  # fmt: skip
LINE, INK, SOFT, FRAME = "#5d6a7a", "#23272e", "#5b616a", "#a9b6c9"
SIZE, SMALL = 8.0, 7.0
"""Font sizes in points."""
LETTER, ROW, MARGIN = 5.0, 11.5, 10.0
"""The width of a letter, the height of a line and the margin of a box, in points."""
CONTAINERS = ("Sequential", "ModuleList")
"""Classes that say nothing about a block."""
LARGEST = 8000.0
"""The largest side of a picture in points."""
MOST_NODES = 220
SHORTENED = 30


def network_figure(graph: NetworkGraph, *, rightwards: bool = False) -> Figure:
    """The graph from top to bottom, or as a U if maps shrink and grow again.

    Args:
        graph: The graph.
        rightwards: Whether it runs from left to right instead.

    Raises:
        ModelError: It has too many nodes to draw.
    """
    if len(graph.nodes) > MOST_NODES:
        raise ModelError(
            f"{len(graph.nodes)} layers are too many for a picture of at most {MOST_NODES}; "
            "use a smaller --depth, or --layer for one block"
        )
    if graph.is_u_shaped:
        graph = _compact(graph)
    groups = {} if graph.is_u_shaped else _groups(graph)
    layout = _placed(graph, list(groups.values()), rightwards)
    width, height = layout.size
    if max(width, height) > LARGEST:
        raise ModelError("the picture would be too large; use a smaller --depth, or --layer for one block")
    with figure(max(2.6, (width + 24) / 72), (height + 52) / 72) as picture:
        picture.set_layout_engine("none")
        axes = picture.add_axes((0, 0, 1, 1))
        bare(axes)
        for name, box in zip(groups, layout.groups, strict=True):
            kind = "" if graph.blocks[name] in CONTAINERS else graph.blocks[name]
            _draw_group(axes, box, f"{name.strip().rpartition('.')[2]} {kind}")
        for curve, tip in layout.edges:
            draw_edge(axes, curve, tip)
        for node, box in zip(graph.nodes, layout.nodes, strict=True):
            _draw_node(axes, node, box)
        axes.text(0, height + 30, graph.title, fontsize=11, fontweight="bold", va="top", color=INK)
        full = picture.get_size_inches()[0] * 72
        axes.set(xlim=(-12, full - 12), ylim=(-12, height + 40))
    return picture


def _placed(graph: NetworkGraph, groups: Sequence[Sequence[int]], rightwards: bool) -> Layout:
    sizes = [_size(node) for node in graph.nodes]
    if not graph.is_u_shaped:
        return place(sizes, graph.edges, groups, rightwards=rightwards)
    sides = [node.shape[-1] if len(node.shape) == 3 else 1 for node in graph.nodes]
    order = sorted(set(sides), reverse=True)
    levels = {number: order.index(side) for number, side in enumerate(sides)}
    rising = frozenset(i for i, (a, b) in enumerate(graph.edges) if levels[a] > levels[b])
    return place(sizes, graph.edges, levels=levels, rising=rising)


def _groups(graph: NetworkGraph) -> dict[str, list[int]]:
    """The nodes of every block that holds at least two."""
    members = {
        name: [i for i, node in enumerate(graph.nodes) if name in node.blocks] for name in graph.blocks
    }
    found = {name: inside for name, inside in members.items() if 1 < len(inside) < len(graph.nodes) - 1}
    unique: dict[tuple[int, ...], str] = {}
    for name, inside in found.items():
        unique.setdefault(tuple(inside), name)  # the outer of two blocks with the same nodes
    return {name: list(inside) for inside, name in unique.items()}


def _compact(graph: NetworkGraph) -> NetworkGraph:
    """The graph with short labels, for the long rows of a U."""
    nodes = (replace(node, label=node.label.partition(",")[0], after=()) for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def _lines(node: Node) -> list[str]:
    if node.kind == "join" and node.label != "concatenate":
        return [node.label]
    label = node.label
    if node.kind == "block" and (name := node.name.rpartition(".")[2]):
        label = f"{label} {name}"
    label = label if len(label) <= SHORTENED else label[: SHORTENED - 1] + "…"
    first = " · ".join([label, *node.after]) if len(node.after) < 3 else label
    return [first, by(node.shape)]


def _size(node: Node) -> tuple[float, float]:
    if node.kind == "join" and node.label != "concatenate":
        return 22.0 + (18.0 if node.after else 0.0), 22.0
    lines = _lines(node)
    return max(map(len, lines)) * LETTER + MARGIN, len(lines) * ROW + 6


def _draw_node(axes: Axes, node: Node, box: Box) -> None:
    left, bottom = box.x - box.width / 2, box.y - box.height / 2
    style = (
        "round,pad=0,rounding_size=4"
        if node.kind != "join" or node.label == "concatenate"
        else "round,pad=0,rounding_size=10"
    )
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            box.width,
            box.height,
            style,
            facecolor=FILL[node.kind],
            edgecolor=LINE,
            linewidth=0.8,
            zorder=3,
        )
    )
    lines = _lines(node)
    if len(lines) == 1:
        text = " ".join([node.label, *node.after])
        axes.text(box.x, box.y, text, ha="center", va="center", fontsize=SIZE, color=INK, zorder=4)
        return
    axes.text(box.x, box.y + ROW / 2, lines[0], ha="center", va="center", fontsize=SIZE, color=INK, zorder=4)
    axes.text(
        box.x, box.y - ROW / 2, lines[1], ha="center", va="center", fontsize=SMALL, color=SOFT, zorder=4
    )


def _draw_group(axes: Axes, box: Box, title: str) -> None:
    left, bottom = box.x - box.width / 2, box.y - box.height / 2
    axes.add_patch(
        Rectangle(
            (left, bottom),
            box.width,
            box.height,
            facecolor="#00000006",
            edgecolor=FRAME,
            linewidth=0.9,
            zorder=1,
        )
    )
    room = int(box.width / LETTER)
    shown = title if len(title) <= room else title[: max(1, room - 1)] + "…"
    card = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.text(
        left + 5, bottom + box.height - 5, shown, fontsize=SMALL, va="top", color=SOFT, zorder=3, bbox=card
    )


def draw_edge(axes: Axes, points: Sequence[Point], tip: Point | None) -> None:
    """Draw cubic Bézier curves with an arrow at the end."""
    codes = [Curve.MOVETO] + [Curve.CURVE4] * (len(points) - 1)
    axes.add_patch(PathPatch(Curve(list(points), codes), fill=False, edgecolor=LINE, linewidth=1.0, zorder=2))
    if tip is not None:
        axes.add_patch(FancyArrowPatch(
            points[-1], tip, arrowstyle="-|>", mutation_scale=9, color=LINE, linewidth=0, shrinkA=0,
            shrinkB=0, zorder=2,
        ))  # fmt: skip
