"""Graphs of networks against what their forward passes do, and their pictures."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from convnet.analysis import summary
from convnet.analysis.graph import NetworkGraph, network_graph
from convnet.errors import ModelError
from convnet.models import MODELS, build_model
from convnet.reports.graph_layout import Box, place
from convnet.reports.network_columns import columns_figure
from convnet.reports.network_graph import network_figure


def graph_of(
    name: str, *, training: bool = False, depth: int | None = None, block: str | None = None
) -> NetworkGraph:
    facts = MODELS.facts(name)
    with torch.device("meta"):
        network = build_model(name, facts.native, facts.num_classes)
    table = summary(network, facts.native, name=name, training=training)
    return network_graph(table, depth=depth, block=block)


def reads(graph: NetworkGraph, number: int) -> list[str]:
    return [graph.nodes[a].name for a, b in graph.edges if b == number]


def test_an_inception_module_has_four_branches() -> None:
    graph = graph_of("googlenet", block="inception3a")
    assert graph.nodes[-1].label == "concatenate"
    assert len(reads(graph, len(graph.nodes) - 1)) == 4
    assert sum(a == 0 for a, _ in graph.edges) == 4
    assert graph.nodes[-1].shape == (256, 28, 28)


def test_a_residual_block_has_a_shortcut() -> None:
    plain, projected = (graph_of("resnet18", block=f"layer{stage}.0") for stage in (1, 2))
    assert sorted(reads(plain, len(plain.nodes) - 1)) == ["input", "layer1.0.conv2"]
    assert sorted(reads(projected, len(projected.nodes) - 1)) == ["layer2.0.conv2", "layer2.0.downsample.0"]
    assert plain.nodes[1].after == ("BN", "ReLU") and plain.nodes[-1].after == ("ReLU",)


def test_a_unet_is_a_u_with_four_skip_connections() -> None:
    graph = graph_of("unet")
    assert graph.is_u_shaped
    joins = [number for number, node in enumerate(graph.nodes) if node.label == "concatenate"]
    assert [len(reads(graph, number)) for number in joins] == [2] * 4
    assert not graph_of("resnet18").is_u_shaped and not graph_of("conv-autoencoder").is_u_shaped


def test_auxiliary_heads_are_branches_of_training() -> None:
    trained, evaluated = (graph_of("googlenet", training=mode, depth=1) for mode in (True, False))
    heads = [number for number, node in enumerate(trained.nodes) if node.label == "AuxiliaryHead"]
    assert [reads(trained, number) for number in heads] == [["inception4a"], ["inception4d"]]
    assert not any(a in heads for a, _ in trained.edges)
    assert not any(node.label == "AuxiliaryHead" for node in evaluated.nodes)


def test_chains() -> None:
    assert graph_of("lenet5").is_chain and graph_of("vgg-d").is_chain and graph_of("alexnet").is_chain
    assert not graph_of("resnet20").is_chain


class Reused(nn.Module):
    """One layer that runs twice, a branch in place, and parts of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.conv(x).chunk(2, 1)
        y = self.act(self.conv(torch.cat([second, first], 1)))
        return y * torch.sigmoid(y) + x


def test_a_users_module_with_reused_layers_and_operations() -> None:
    graph = network_graph(summary(Reused(), (4, 8, 8)))
    kinds = [(node.name, node.label, node.after) for node in graph.nodes]
    assert kinds == [
        ("input", "input", ()),
        ("conv", "conv 3×3", ()),
        ("cat", "concatenate", ()),
        ("conv", "conv 3×3", ("ReLU",)),
        ("sigmoid", "sigmoid", ()),
        ("mul", "×", ()),
        ("add", "+", ()),
    ]
    assert set(graph.edges) == {(0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5), (5, 6), (0, 6)}


def overlap(a: Box, b: Box) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 - 1 and abs(a.y - b.y) < (a.height + b.height) / 2 - 1


LEFT_OUT = ("resnet1", "resnet3", "resnet4", "resnet5", "vgg", "pipeline", "knn", "majority", "efficientnet")
"""Models without layers, and several that differ in their depth only."""
NETWORKS = [name for name in MODELS if not name.startswith(LEFT_OUT)]


@pytest.mark.parametrize("name", [*NETWORKS, "efficientnet-lite0", "resnet50", "vgg-a-lrn"])
def test_every_network_is_drawn_without_overlaps(name: str) -> None:
    """Every node is reachable from the input, and every picture has all nodes."""
    graph = graph_of(name)
    reached = {0}
    for a, b in graph.edges:
        assert a < b
        reached |= {b} if a in reached else set()
    assert reached == set(range(len(graph.nodes)))
    layout = place([(80.0, 30.0)] * len(graph.nodes), graph.edges)
    assert not any(overlap(a, b) for a, b in combinations(layout.nodes, 2))
    texts = {
        text.get_text() for text in network_figure(graph).findobj(match=lambda a: hasattr(a, "get_text"))
    }
    assert graph.title in texts


def test_groups_hold_their_nodes() -> None:
    layout = place([(40.0, 20.0)] * 4, [(0, 1), (1, 2), (2, 3)], [[1, 2], [1]])
    outer, inner = layout.groups
    assert overlap(outer, inner) and inner.height < outer.height
    for number, group in ((1, inner), (2, outer)):
        node = layout.nodes[number]
        assert abs(node.x - group.x) <= group.width / 2 and abs(node.y - group.y) <= group.height / 2
    assert not overlap(layout.nodes[3], outer)


def test_unknown_blocks_and_too_many_layers() -> None:
    with pytest.raises(ModelError, match="no layer 'inception3'; did you mean 'inception3"):
        graph_of("googlenet", block="inception3")
    long = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(300)])
    with pytest.raises(ModelError, match="301 layers are too many for a picture of at most 220"):
        network_figure(network_graph(summary(long, (1, 2, 2)), depth=1))


def test_columns_align_stages() -> None:
    tables = []
    for name in ("vgg-a", "vgg-e"):
        with torch.device("meta"):
            network = build_model(name, MODELS.facts(name).native, 1000)
        tables.append(summary(network, MODELS.facts(name).native, name=name))
    picture = columns_figure(tables)
    places = {}
    for text in picture.axes[0].texts:
        places.setdefault(text.get_text(), []).append(text.get_position())
    assert len(places["conv 3×3, 256"]) == 2 + 4
    first = [y for x, y in places["conv 3×3, 128"]]
    assert first.count(max(first)) == 2  # both columns begin the stage in one row
    with pytest.raises(ModelError, match="at most 8 networks"):
        columns_figure(tables * 5)
