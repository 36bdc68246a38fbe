"""Place the boxes and arrows of a directed graph with Graphviz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pygraphviz

POINTS = 72.0
"""Points per inch."""
LABEL = 15.0
"""The height of the title of a group in points."""

Point = tuple[float, float]
Size = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle in points: its center and its size; y points up."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The places of everything that is drawn.

    Attributes:
        nodes: One box per node.
        groups: One box per group, with room for its title at the top.
        edges: The control points of the cubic Bézier curves of every edge, and the tip of its arrow.
        size: Width and height of the whole.
    """

    nodes: list[Box]
    groups: list[Box]
    edges: list[tuple[list[Point], Point | None]]
    size: Size


def place(
    sizes: Sequence[Size],
    edges: Sequence[tuple[int, int]],
    groups: Sequence[Sequence[int]] = (),
    *,
    rightwards: bool = False,
    levels: Mapping[int, int] | None = None,
    rising: frozenset[int] = frozenset(),
) -> Layout:
    """Lay out a graph in layers, so that edges point down or to the right.

    Args:
        sizes: Width and height of every node in points.
        edges: Pairs of nodes.
        groups: The nodes of every group; of two groups one holds the other, or they share no node.
        rightwards: Whether the edges point to the right instead of down.
        levels: The level of every node, from the top; edges within a level point to the right.
        rising: Numbers of edges that point up.

    Returns:
        The places.
    """
    graph = pygraphviz.AGraph(
        strict=False, directed=True, rankdir="LR" if rightwards else "TB",
        nodesep=0.22, ranksep=0.32 if levels is None else 0.5, newrank=levels is not None,
    )  # fmt: skip
    # Without labels no font is looked up; texts are drawn later.
    graph.node_attr.update(shape="box", label="", fixedsize="true")
    graph.edge_attr.update(arrowsize=0.6)
    for number, (width, height) in enumerate(sizes):
        graph.add_node(f"n{number}", width=width / POINTS, height=height / POINTS)
    _add_groups(graph, [frozenset(group) for group in groups])
    for level in sorted(set((levels or {}).values())):
        members = [f"n{number}" for number in range(len(sizes)) if (levels or {})[number] == level]
        graph.add_subgraph(members, rank="same")
    for number, (a, b) in enumerate(edges):
        if number in rising:
            graph.add_edge(f"n{b}", f"n{a}", key=f"e{number}", dir="back")
        else:
            graph.add_edge(f"n{a}", f"n{b}", key=f"e{number}")
    graph.layout(prog="dot")
    return _read(graph, sizes, edges, len(groups), rising)


def _add_groups(graph: pygraphviz.AGraph, groups: list[frozenset[int]]) -> None:
    """Add clusters, each within the smallest one that holds it; an empty table leaves room for its title."""
    title = f'<<TABLE BORDER="0" FIXEDSIZE="TRUE" WIDTH="60" HEIGHT="{LABEL:.0f}"><TR><TD></TD></TR></TABLE>>'
    made: list[tuple[frozenset[int], pygraphviz.AGraph]] = []
    for number, group in sorted(enumerate(groups), key=lambda pair: -len(pair[1])):
        around = [parent for members, parent in made if group <= members]
        members = [f"n{node}" for node in sorted(group)]
        parent = around[-1] if around else graph
        made.append(
            (
                group,
                parent.add_subgraph(members, name=f"cluster_{number}", label=title, labeljust="l", margin=7),
            )
        )


def _read(
    graph: pygraphviz.AGraph,
    sizes: Sequence[Size],
    edges: Sequence[tuple[int, int]],
    groups: int,
    rising: frozenset[int],
) -> Layout:
    boxes = []
    for number, size in enumerate(sizes):
        x, y = map(float, graph.get_node(f"n{number}").attr["pos"].split(","))
        boxes.append(Box(x, y, *size))
    curves = []
    for number, (a, b) in enumerate(edges):
        first, second = (b, a) if number in rising else (a, b)
        curves.append(_curve(graph.get_edge(f"n{first}", f"n{second}", f"e{number}").attr["pos"]))
    frames = {name: _frame(text) for name, text in _frames(graph)}
    left, bottom, right, top = map(float, graph.graph_attr["bb"].split(","))
    return Layout(
        boxes, [frames[f"cluster_{n}"] for n in range(groups)], curves, (right - left, top - bottom)
    )


def _frames(graph: pygraphviz.AGraph) -> list[tuple[str, str]]:
    """The names and frames of all clusters, those within clusters included."""
    found = []
    for inner in graph.subgraphs():
        if (inner.name or "").startswith("cluster_"):
            found.append((inner.name, inner.graph_attr["bb"]))
        found += _frames(inner)
    return found


def _frame(text: str) -> Box:
    left, bottom, right, top = map(float, text.split(","))
    return Box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)


def _curve(text: str) -> tuple[list[Point], Point | None]:
    """Graphviz's `e,x,y x,y …`: an arrow tip at the end (e) or the start (s), and control points."""
    tip: Point | None = None
    points: list[Point] = []
    for part in text.replace("\\\n", "").split():
        pieces = part.split(",")
        if pieces[0] in ("e", "s"):
            tip = (float(pieces[1]), float(pieces[2]))
        else:
            points.append((float(pieces[0]), float(pieces[1])))
    if "s," in text:
        points.reverse()
    return points, tip
