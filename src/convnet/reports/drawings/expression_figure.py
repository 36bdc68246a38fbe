"""The computation graph of an expression: values above the arrows, gradients below."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from convnet.concepts.concept import short
from convnet.concepts.expression import ComputationGraph, Node
from convnet.reports.graph_layout import Box, place
from convnet.reports.network_graph import INK, LINE, draw_edge
from convnet.reports.style import TEST, bare, figure

VALUE, GRADIENT = TEST, "#c43d4b"
HEIGHT = 44.0


def expression_figure(found: ComputationGraph) -> Figure:
    """Every node with its operation, its value (green) and its gradient (red), from left to right."""
    numbers = {node.name: number for number, node in enumerate(found.nodes)}
    edges = [(numbers[one], number) for number, node in enumerate(found.nodes) for one in node.inputs]
    layout = place([_size(node) for node in found.nodes], edges, rightwards=True)
    width, height = layout.size
    with figure(max(3.6, (width + 24) / 72), (height + 66) / 72) as picture:
        picture.set_layout_engine("none")
        axes = picture.add_axes((0, 0, 1, 1))
        bare(axes)
        for curve, tip in layout.edges:
            draw_edge(axes, curve, tip)
        for node, box in zip(found.nodes, layout.nodes, strict=True):
            _draw(axes, node, box)
        axes.text(0, height + 42, found.expression, fontsize=11, fontweight="bold", va="top", color=INK)
        axes.text(0, height + 25, "value", fontsize=8.5, va="top", color=VALUE)
        axes.text(34, height + 25, "gradient", fontsize=8.5, va="top", color=GRADIENT)
        full = picture.get_size_inches()[0] * 72
        axes.set(xlim=(-12, full - 12), ylim=(-12, height + 54))
    return picture


def _size(node: Node) -> tuple[float, float]:
    widest = max(len(_name(node)), len(short(node.value)), len(short(node.gradient)))
    return 14 + 5.6 * widest, HEIGHT


def _name(node: Node) -> str:
    return {"negate": "−x"}.get(node.operation, node.operation)


def _draw(axes: Axes, node: Node, box: Box) -> None:
    face = "#cfdef5" if node.inputs else "#eef1f5"
    axes.add_patch(FancyBboxPatch(
        (box.x - box.width / 2, box.y - box.height / 2), box.width, box.height, "round,pad=0,rounding_size=6",
        facecolor=face, edgecolor=LINE, linewidth=0.8, zorder=3,
    ))  # fmt: skip
    texts = ((13, _name(node), INK, "bold"), (0, short(node.value), VALUE, "normal"))
    for up, text, color, weight in (*texts, (-13, short(node.gradient), GRADIENT, "normal")):
        axes.text(
            box.x,
            box.y + up,
            text,
            ha="center",
            va="center",
            fontsize=8.5,
            color=color,
            fontweight=weight,
            zorder=4,
        )
