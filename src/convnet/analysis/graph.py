"""The graph of a network: which layer reads the output of which, with nested blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from convnet.analysis.table import Layer, LayerTable
from convnet.analysis.window import Window
from convnet.errors import ModelError
from convnet.registry import nearest

Kind = Literal["input", "conv", "pool", "dense", "join", "block", "other"]

MOST_NODES = 110
"""The largest number of nodes for which blocks are unfolded, if no depth is given."""
_JOINS = {"add": "+", "add_": "+", "cat": "concatenate", "mul": "×", "mul_": "×"}
"""Operations that join branches, and their labels."""
_FOLLOWERS = {
    "ReLU": "ReLU", "relu": "ReLU", "relu_": "ReLU", "BatchNorm2d": "BN", "BatchNorm1d": "BN",
    "LocalResponseNorm": "LRN", "LayerNorm": "LN", "GELU": "GELU", "ReLU6": "ReLU6", "Tanh": "tanh",
    "tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "SiLU", "Hardswish": "hardswish", "Softmax": "softmax",
}  # fmt: skip
"""Layers that are written to the node that they follow."""
_HIDDEN = {"Dropout", "Identity", "Flatten", "view", "slice", "constant_pad_nd"}
"""Layers that only pass values on; they get no node."""


@dataclass(frozen=True)
class Node:
    """A node of the graph.

    Attributes:
        name: The name of the layer or block; "input" for the input.
        kind: What it is drawn as.
        label: What it computes: "conv 3×3 /2", "+", "concatenate", a class.
        after: What follows directly and only there: "BN", "ReLU".
        shape: The shape of its output.
        blocks: The names of the unfolded blocks around it, outermost first.
    """

    name: str
    kind: Kind
    label: str
    after: tuple[str, ...]
    shape: tuple[int, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class NetworkGraph:
    """The graph of a network.

    Attributes:
        title: The name of the network or the block.
        nodes: In the order in which they run; the first is the input.
        edges: Pairs of numbers of nodes: the second reads the first.
        blocks: The class of every unfolded block, by its name.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    blocks: dict[str, str]

    @property
    def is_chain(self) -> bool:
        """Whether every node reads exactly the one before it."""
        return self.edges == tuple((i, i + 1) for i in range(len(self.nodes) - 1))

    @property
    def is_u_shaped(self) -> bool:
        """Whether maps shrink and grow again, and concatenations join the maps of equal size."""
        sides = [node.shape[-1] for node in self.nodes if len(node.shape) == 3]
        if len(sides) < 3 or not any(node.label == _JOINS["cat"] for node in self.nodes):
            return False
        lowest = sides.index(min(sides))
        down, up = sides[: lowest + 1], sides[lowest:]
        falls = all(a >= b for a, b in pairwise(down))
        return falls and all(a <= b for a, b in pairwise(up)) and 2 * min(sides) <= sides[-1]


def network_graph(table: LayerTable, *, depth: int | None = None, block: str | None = None) -> NetworkGraph:
    """Make the graph of a network from its layer table.

    Args:
        table: The layer table.
        depth: Levels of blocks that are unfolded. Default: as many as give at most 110 nodes.
        block: The name of a block to show alone.

    Returns:
        The graph.

    Raises:
        ModelError: There is no such block.
    """
    root = table.root if block is None else _find(table.root, block)
    title = table.model if block is None else f"{table.model}: {block} ({root.type})"
    if depth is not None:
        return _graph(root, title, depth)
    found = _graph(root, title, 1)
    for deeper in range(2, 12):
        tried = _graph(root, title, deeper)
        if len(tried.nodes) > MOST_NODES:
            break
        found = tried
    return found


def _find(root: Layer, name: str) -> Layer:
    known = {layer.name: layer for layer in _all(root) if layer.name}
    if name not in known:
        raise ModelError(f"no layer '{name}'{nearest(name, known)}")
    return known[name]


def _all(layer: Layer) -> Iterator[Layer]:
    for inner in layer.inside:
        yield inner
        yield from _all(inner)


def _graph(root: Layer, title: str, depth: int) -> NetworkGraph:
    builder = _Builder(root)
    for layer in root.inside or (root,):
        builder.visit(layer, (), depth)
    nodes, edges = _without_followers(builder.nodes, builder.edges)
    return NetworkGraph(title, tuple(nodes), tuple(edges), builder.blocks)


class _Builder:
    """Collects the nodes of unfolded blocks, and edges by who made the tensor that a layer reads."""

    def __init__(self, root: Layer) -> None:
        self.nodes = [Node("input", "input", "input", (), root.input, ())]
        self.edges: list[tuple[int, int]] = []
        self.blocks: dict[str, str] = {}
        self.made_by = dict.fromkeys(root.sources, 0)

    def visit(self, layer: Layer, blocks: tuple[str, ...], depth: int) -> None:
        if layer.output is None:
            return  # parameters of a block
        if layer.inside and depth > 1:
            name = layer.name
            while name in self.blocks and name in blocks:
                name += " "
            self.blocks[name] = layer.type
            for inner in layer.inside:
                self.visit(inner, (*blocks, name), depth - 1)
            return
        number = len(self.nodes)
        kind, label = _kind(layer)
        self.nodes.append(Node(layer.name, kind, label, (), layer.output, blocks))
        for leaf in layer.leaves():
            for source in leaf.sources:
                maker = self.made_by.get(source)
                if maker is not None and maker != number and (maker, number) not in self.edges:
                    self.edges.append((maker, number))
            if leaf.result is not None:
                self.made_by[leaf.result] = number


def _kind(layer: Layer) -> tuple[Kind, str]:
    """What a layer is drawn as, and its label."""
    if layer.inside:
        return "block", layer.type
    if layer.type in _JOINS:
        return "join", _JOINS[layer.type]
    if layer.window is not None:
        kind: Kind = "conv" if layer.parameters or "onv" in layer.type else "pool"
        noun = "up-conv" if layer.window.transposed else kind
        return kind, f"{noun} {_window(layer.window)}"
    if "ool" in layer.type or layer.type == "mean":
        return "pool", "mean" if layer.type == "mean" else "global pool"
    if layer.parameters and layer.type not in _FOLLOWERS:
        return (
            ("dense", "dense")
            if layer.type in ("Linear", "FlattenLinear", "linear")
            else ("other", layer.type)
        )
    return "other", layer.type


def _window(window: Window) -> str:
    """Kernel, dilation and stride in words: 3×3, stride 2."""
    parts = ["×".join(str(side.kernel_size) for side in window.sides)]
    for name, values in (
        ("dilation", [side.dilation for side in window.sides]),
        ("stride", [side.stride for side in window.sides]),
    ):
        if any(value > 1 for value in values):
            parts.append(f"{name} {'×'.join(map(str, dict.fromkeys(values)))}")
    return ", ".join(parts)


def _without_followers(
    nodes: list[Node], edges: list[tuple[int, int]]
) -> tuple[list[Node], list[tuple[int, int]]]:
    """Write norms and activations to the node that they follow; leave out what only passes values on."""
    alias = list(range(len(nodes)))
    merged = list(nodes)
    for number, node in enumerate(nodes):
        before = [a for a, b in edges if b == number]
        if len(before) != 1 or node.kind != "other":
            continue
        source = alias[before[0]]
        is_last_reader = sum(alias[a] == source and b != number for a, b in edges if alias[b] != source) == 0
        if node.label in _HIDDEN or (node.label in _FOLLOWERS and source and is_last_reader):
            alias[number] = source
            text = () if node.label in _HIDDEN else (_FOLLOWERS[node.label],)
            shape = node.shape if source else merged[source].shape
            merged[source] = replace(merged[source], after=(*merged[source].after, *text), shape=shape)
    kept = [number for number in range(len(nodes)) if alias[number] == number]
    place = {number: i for i, number in enumerate(kept)}
    found = dict.fromkeys((place[alias[a]], place[alias[b]]) for a, b in edges if alias[a] != alias[b])
    return [merged[number] for number in kept], list(found)
