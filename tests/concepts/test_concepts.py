"""Worked examples: one contract for all, and each against another computation."""

from __future__ import annotations

import doctest
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

import convnet
from convnet import concepts
from convnet.analysis import equivariance
from convnet.errors import ConvnetError, DataError
from convnet.explain.arithmetic import unit
from convnet.explain.capture import capture
from convnet.layers import reference
from convnet.reports.drawings.draw import FIGURES

PHOTO = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 24, 20), dtype=np.uint8))


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))


def weights(name: str) -> concepts.TrainedWeights:
    return concepts.TrainedWeights(name, torch.randn(200), torch.randn(5, 1, 4, 4), 0.9, 0.8)


EXAMPLES: dict[str, Callable[[], Any]] = {
    "arithmetic": lambda: concepts.arithmetic(7, 3, stride=3, padding=1),
    "signal": lambda: concepts.arithmetic((9,), 3),
    "transposed": lambda: concepts.arithmetic(4, 3, stride=2, kind="transposed"),
    "activations": lambda: concepts.activations(),
    "colors": lambda: concepts.color_histogram(PHOTO),
    "gray": lambda: concepts.color_histogram(PHOTO[:1]),
    "graph": lambda: concepts.computation_graph("max(x, 1) / y", x=2, y=4),
    "descent": lambda: concepts.descent("saddle", steps=20),
    "diverging": lambda: concepts.descent("valley", ["sgd"], steps=500, rates={"sgd": 1.2}),
    "equivariance": lambda: equivariance(small_network(), PHOTO[None].float(), [1, 2]),
    "filtering": lambda: concepts.filtering([[1, 2, 3], [4, 5, 6]], [[0, 1, 2]]),
    "long signal": lambda: concepts.filtering(np.arange(40.0), [1, 2, 1]),
    "photo": lambda: concepts.filtering(PHOTO.numpy().astype(float), np.ones((9, 9)) / 81, border="reflect"),
    "first layers": lambda: concepts.first_layers({"a": small_network()}),
    "normalization": lambda: concepts.normalization([[1, 2], [3, 5]]),
    "pooling": lambda: concepts.pooling([[1, 2], [3, 4]]),
    "overlapping": lambda: concepts.pooling(np.arange(16).reshape(4, 4), 3, stride=1, kind="mean"),
    "receptive fields": lambda: concepts.receptive_fields(small_network(), PHOTO.float()),
    "regularization": lambda: concepts.Regularization("digits", "mlp", (weights("none"), weights("l1=1"))),
    "loss": lambda: concepts.loss([1, 2, 3], 1),
    "signals": lambda: concepts.signals(["0.01", "he+norm+skip"], depth=4, width=8),
    "unit": lambda: unit(capture(small_network(), PHOTO[None].float()), "3", (1, 2, 3)),
    "matrix": lambda: concepts.toeplitz([1, 0, 2], 5),
    "large matrix": lambda: concepts.toeplitz([[1, 2], [3, 4]], 9),
}


def test_every_kind_of_result_has_an_example() -> None:
    assert {type(make()) for make in EXAMPLES.values()} == set(FIGURES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_result_prints_converts_and_is_drawn(name: str, tmp_path: Path) -> None:
    found = EXAMPLES[name]()
    lines = str(found).splitlines()
    assert lines and all(len(line) <= 140 for line in lines)
    json.dumps(found.to_dict(), allow_nan=False)
    first = convnet.draw(found, tmp_path / "a.svg").read_bytes()
    assert first.startswith(b"<?xml") and first == convnet.draw(found, tmp_path / "b.svg").read_bytes()
    assert convnet.draw(found, tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_examples_in_docstrings() -> None:
    for module in {getattr(concepts, name).__module__ for name in concepts.__all__ if not name.isupper()}:
        assert not doctest.testmod(__import__(module, fromlist=["_"])).failed


def test_pictures_have_three_suffixes(tmp_path: Path) -> None:
    found = concepts.loss([1, 2], 0)
    assert convnet.draw(found, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ConvnetError, match=r"suffix \.svg or \.png or \.pdf"):
        convnet.draw(found, tmp_path / "a.gif")


scores = st.lists(st.floats(-50, 50), min_size=2, max_size=6)


@given(scores, st.data())
def test_losses_are_their_definitions(values: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(values) - 1))
    found = concepts.loss(values, target)
    total = sum(math.exp(s - max(values)) for s in values)
    expected = -(values[target] - max(values) - math.log(total))
    assert found.cross_entropy == pytest.approx(expected, abs=1e-9)
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.hinge == pytest.approx(sum(found.margins), abs=1e-9)
    assert found.curve("hinge", [values[target]]) == pytest.approx([found.hinge])


numbers = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-9, 9))
odd = st.sampled_from([1, 3, 5])
kernels = st.tuples(odd, odd).flatmap(lambda s: hnp.arrays(np.float64, s, elements=st.floats(-3, 3)))


@given(numbers, kernels)
def test_filtering_is_scipys(image: np.ndarray, kernel: np.ndarray) -> None:
    found = concepts.filtering(image, kernel)
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((rows, rows), (columns, columns)))
    assert found.convolution[0] == pytest.approx(scipy.signal.convolve2d(padded, kernel, "valid"), abs=1e-9)
    assert found.correlation[0] == pytest.approx(scipy.signal.correlate2d(padded, kernel, "valid"), abs=1e-9)
    place = found.at(image.shape[0] - 1, 0)
    assert place.total == pytest.approx(found.convolution[0, -1, 0], abs=1e-9)


@given(numbers, st.sampled_from([1, 2]), st.sampled_from([1, 2]))
def test_max_pooling_and_its_gradient_are_the_reference(image: np.ndarray, size: int, stride: int) -> None:
    image = image + np.arange(image.size).reshape(image.shape) * 1e-3  # no ties
    if min(image.shape) < size or len(np.unique(image)) < image.size:
        return
    found = concepts.pooling(image, size, stride=stride)
    output, places = reference.max_pool2d(image[None], (size, size), (stride, stride))
    assert np.array_equal(found.output, output)
    back = reference.max_pool2d_backward(np.ones_like(output), places, (1, *image.shape))
    assert np.array_equal(found.input_gradient, back)
    assert found.input_gradient.sum() == found.gradient.sum()


def test_other_pools() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3, 3))
    channels = concepts.pooling(values, 2, kind="channels")
    assert np.array_equal(channels.output, reference.channel_max_pool(values, 2, 2))
    mean = concepts.pooling(values, 3, kind="mean")
    assert mean.output[:, 0, 0] == pytest.approx(values.mean((1, 2)))
    assert mean.input_gradient == pytest.approx(np.full(values.shape, 1 / 9))
    weighted = concepts.pooling([[1, 2], [3, 4]], gradient=[[7]])
    assert weighted.input_gradient.tolist() == [[[0, 0], [0, 7]]]


@given(
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.sampled_from(["x*y + x", "sigmoid(x) * tanh(y)", "exp(x - y) / 3", "-x^2 + y"]),
)
def test_gradients_are_numerical_derivatives(x: float, y: float, text: str) -> None:
    found = concepts.computation_graph(text, x=x, y=y)
    for name in ("x", "y"):
        point = {"x": x, "y": y}
        ends = [
            concepts.computation_graph(text, **(point | {name: point[name] + h})).value for h in (1e-5, -1e-5)
        ]
        assert found.gradients[name] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-4)


def test_a_node_multiplies_its_gradient_by_its_local_gradients() -> None:
    found = concepts.computation_graph("(x + y) * max(x, z)", x=3, y=-1, z=2)
    nodes = {node.name: node for node in found.nodes}
    arriving = dict.fromkeys(nodes, 0.0) | {found.nodes[-1].name: 1.0}
    for node in found.nodes:
        for name, local in zip(node.inputs, node.local, strict=True):
            arriving[name] += node.gradient * local
    assert {name: node.gradient for name, node in nodes.items()} == pytest.approx(arriving)


def test_descent_is_the_update_rule() -> None:
    path = concepts.descent("rosenbrock", ["sgd"], steps=4, rates={"sgd": 0.001}, start=(-1, 2)).paths[0]
    x, y = -1.0, 2.0
    for point, loss in zip(path.points, path.losses, strict=True):
        assert (point, loss) == (pytest.approx((x, y)), pytest.approx((1 - x) ** 2 + 10 * (y - x * x) ** 2))
        x, y = x - 0.001 * (-2 * (1 - x) - 40 * x * (y - x * x)), y - 0.001 * 20 * (y - x * x)


def test_noise_is_the_same_for_all_optimizers() -> None:
    first, second = concepts.descent("valley", ["sgd", "nesterov"], steps=1, noise=1).paths
    alone = concepts.descent("valley", ["nesterov"], steps=1, noise=1).paths[0]
    assert alone == second and first.points[0] == second.points[0]


def test_signals_keep_or_lose_their_scale() -> None:
    small, he, norm = concepts.signals(["0.01", "he", "he+norm"], depth=20, width=128).networks
    factor = 0.01 * math.sqrt(128 / 2)
    assert small.activations[-1] / small.activations[0] == pytest.approx(factor**19, rel=0.5)
    assert 0.3 < he.activations[-1] / he.activations[0] < 3
    assert norm.activations == pytest.approx([norm.activations[0]] * 20, rel=0.1)


def test_receptive_fields_hold_exactly_the_pixels_with_gradients() -> None:
    found = concepts.receptive_fields(small_network(), PHOTO.float())
    for field in found.fields:
        inside = np.zeros(field.gradient.shape, bool)
        inside[max(field.rows[0], 0) : field.rows[1] + 1, max(field.columns[0], 0) : field.columns[1] + 1] = (
            True
        )
        assert not field.gradient[~inside].any()
    first = found.fields[0]
    assert (first.size, first.effective) == ((3, 3), 3.0)


def test_first_layers_are_the_weights() -> None:
    network = small_network()
    (found,) = concepts.first_layers({"a": network}).layers
    assert torch.equal(found.weights, network[0].weight.detach()) and found.noun == "filters"
    with pytest.raises(ConvnetError, match="b: its first layer"):
        concepts.first_layers({"b": nn.Sequential(nn.Linear(3, 4))})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concepts.loss([1], 0), "scores: expected 2 to 20 numbers, got 1"),
        (lambda: concepts.loss([1, math.nan], 0), "scores: every value must be a number from"),
        (lambda: concepts.loss([1, 2], 2), "target 2: expected an index from 0 to 1"),
        (lambda: concepts.loss([1, 2], 0, ["a"]), "classes: expected 2 names"),
        (lambda: concepts.pooling([[1, 2], [3]]), "values: expected numbers in rows of equal length"),
        (lambda: concepts.pooling([[1, 2]], 3), "a window of 3 with stride 3 does not fit 1×2 values"),
        (
            lambda: concepts.pooling([[1, 2], [3, 4]], gradient=[[1, 2]]),
            "expected the shape of the output, 1×1×1",
        ),
        (lambda: concepts.filtering([[1]], [1, 2, 1]), "a signal takes a kernel in one dimension"),
        (lambda: concepts.filtering([1, 2], [1, 2]), "expected odd sides"),
        (lambda: concepts.filtering([1], [1, 2, 1], border="reflect"), "too small for this kernel"),
        (lambda: concepts.filtering([[1]], [[1]]).at(1, 0), "the input has 1 rows and 1 columns"),
        (lambda: concepts.computation_graph("x +"), "cannot be read"),
        (lambda: concepts.computation_graph("x + y", x=1), "variable y: it has no value"),
        (lambda: concepts.computation_graph("x", x=1, z=2), "variable z: the expression 'x' does not"),
        (lambda: concepts.computation_graph("1 / 0"), "is not a finite number"),
        (
            lambda: concepts.computation_graph("sqrt(x)", x=0),
            "the gradient of sqrt(x) in 'sqrt(x)' is not finite",
        ),
        (lambda: concepts.computation_graph("9" * 400 + "*x", x=1), "a number of '9999"),
        (lambda: concepts.loss([10**400, 1], 0), "scores: expected numbers"),
        (lambda: concepts.computation_graph("__import__('os')"), "is not supported"),
        (lambda: concepts.computation_graph("x" * 600, x=1), "at most 500"),
        (lambda: concepts.computation_graph("+".join(["1"] * 60)), "over 60 nodes"),
        (lambda: concepts.descent("hill"), "surface 'hill': expected valley"),
        (lambda: concepts.descent("valley", ["sgd"], rates={"adam": 1}), "rate of adam"),
        (lambda: concepts.signals(["xavier+drop"]), "'drop' is unknown"),
        (lambda: concepts.signals(["-1"]), "or a standard deviation such as 0.01"),
        (lambda: concepts.signals(depth=0), "depth 0: expected 1 to 200"),
        (lambda: concepts.toeplitz([1, 2, 3], 2), "does not fit an input"),
        (lambda: concepts.toeplitz([[1]], 50), "more than 250,000 entries"),
        (lambda: concepts.normalization([[1, 2]]), "at least two samples"),
        (lambda: concepts.activations(at=[]), "at: expected one to six numbers"),
    ],
)
def test_wrong_numbers_end_in_one_message(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        call()
