"""Convolution arithmetic against torch, and the cells of pictures and animations."""

from __future__ import annotations

import re
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.concepts import Arithmetic, arithmetic
from convnet.errors import ModelError
from convnet.layers import LocallyConnected2d
from convnet.reports.drawings.window_animation import MARGIN, SIDE, TOP, window_animation
from convnet.reports.drawings.window_figure import MOST_CELLS, grid_of

small = st.integers(1, 4)
layers = st.fixed_dictionaries(
    {
        "input": st.tuples(st.integers(1, 7), st.integers(1, 7)),
        "kernel": st.tuples(small, small),
        "stride": st.tuples(small, small),
        "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
        "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "kind": st.sampled_from(["convolution", "transposed"]),
    }
)


def ones_layer(found: Arithmetic) -> nn.Module:
    """torch's layer with these settings, all weights 1."""
    kernels, strides, dilations = zip(
        *[(s.kernel_size, s.stride, s.dilation) for s in found.sides], strict=True
    )
    zeros = tuple(side.padding[0] for side in found.sides)
    kind = nn.ConvTranspose2d if found.kind == "transposed" else nn.Conv2d
    layer = kind(found.channels, found.filters, kernels, strides, zeros, dilation=dilations)
    nn.init.ones_(layer.weight)
    return layer


def output_of(layer: nn.Module, x: Tensor) -> Tensor | None:
    """The output; None if torch finds that nothing is left."""
    try:
        out: Tensor = layer(x)
    except RuntimeError:
        return None
    return out if out.numel() else None


@given(layers, st.integers(1, 3), st.integers(1, 4))
def test_sizes_and_parameters_are_those_of_torch(
    settings: dict[str, object], channels: int, filters: int
) -> None:
    found = arithmetic(**settings, channels=channels, filters=filters)  # type: ignore[arg-type]
    layer = ones_layer(found)
    out = output_of(layer, torch.randn(1, channels, *(side.size for side in found.sides)))
    assert found.output == (None if out is None else tuple(out.shape[2:]))
    if out is not None:
        assert found.parameters == sum(p.numel() for p in layer.parameters())


def cells_read_by_torch(found: Arithmetic, place: tuple[int, int]) -> set[tuple[int, int]]:
    """The values of the input with a gradient, as cells of the picture."""
    x = torch.zeros(1, 1, *(side.size for side in found.sides), requires_grad=True)
    out = ones_layer(found)(x)
    (gradient,) = torch.autograd.grad(out[0, 0, place[0], place[1]], x)
    rows, columns = grid_of(found)
    return {(rows.values[i], columns.values[j]) for i, j in gradient[0, 0].nonzero().tolist()}


def animated_cells(svg: str) -> list[set[tuple[int, int]]]:
    """For every step of an animation the cells of the window, as rows and columns of the grid."""
    group = re.search(r'<g id="window">(.*?)</g>', svg, re.S)
    assert group
    corners = re.findall(r'<rect class="read" x="(-?\d+)" y="(-?\d+)"', group[1])
    frames = re.search(r"@keyframes window \{(.*?)\n\}", svg, re.S)
    assert frames
    moves = re.findall(r"translate\((-?\d+)px, (-?\d+)px\)", frames[1])
    return [
        {((int(y) + int(dy) - TOP) // SIDE, (int(x) + int(dx) - MARGIN) // SIDE) for x, y in corners}
        for dx, dy in moves
    ]


@given(layers)
def test_an_animated_window_covers_exactly_the_cells_that_the_layer_uses(settings: dict[str, object]) -> None:
    found = arithmetic(**settings)  # type: ignore[arg-type]
    if found.output is None:
        with pytest.raises(ModelError, match="larger than the padded input"):
            window_animation(found)
        return
    if max(max(len(axis.cells), len(axis.starts)) for axis in found.axes) > MOST_CELLS:
        with pytest.raises(ModelError, match="too large to draw"):
            window_animation(found)
        return
    rows, columns = grid_of(found)
    steps = animated_cells(window_animation(found).decode())
    outputs = list(product(range(found.output[0]), range(found.output[1])))
    assert len(steps) == len(outputs)
    for step, place in list(zip(steps, outputs, strict=True))[:: max(1, len(outputs) // 6)]:
        shown = {(row + rows.cells.start, column + columns.cells.start) for row, column in step}
        values = {(i, j) for i, j in shown if i in rows.values and j in columns.values}
        assert values == cells_read_by_torch(found, place)
        assert all(i in rows.cells and j in columns.cells for i, j in shown)


@given(layers)
def test_ignored_values_are_those_behind_the_last_that_torch_reads(settings: dict[str, object]) -> None:
    found = arithmetic(**(settings | {"kind": "convolution"}))  # type: ignore[arg-type]
    if found.output is None:
        return
    x = torch.zeros(1, 1, *(side.size for side in found.sides), requires_grad=True)
    (gradient,) = torch.autograd.grad(ones_layer(found)(x).sum(), x)
    if not gradient.any():  # all windows lie in the padding
        return
    for axis, read in zip(found.axes, (gradient.sum((0, 1, 3)), gradient.sum((0, 1, 2))), strict=True):
        last = max(read.nonzero().flatten().tolist(), default=-1)
        assert axis.ignored == len(read) - 1 - last
    assert ("ignored" in str(found)) == any(axis.ignored for axis in found.axes)


def test_ways_out_compute_a_named_padding_again() -> None:
    found = arithmetic((8, 10), (5, 2), stride=(1, 5), dilation=(3, 1), padding="same", kind="pool")
    for way in found.ways_out():
        if way.startswith("--stride 1 "):
            assert way == "--stride 1 (8×10)"
    skipped = arithmetic(7, 3, stride=5)
    assert "the last 4 rows and 4 columns are ignored" in str(skipped) and "to fit" in str(skipped)


@given(st.integers(1, 20), small, small, st.integers(0, 2))
def test_a_way_out_fits(size: int, kernel: int, stride: int, padding: int) -> None:
    found = arithmetic(size, kernel, stride=stride, padding=padding)
    for way in found.ways_out():
        option, value, output = re.fullmatch(r"--(\w+) (\d+) \((.+)\)", way).groups()  # type: ignore[union-attr]
        settings = {"input": size, "kernel": kernel, "stride": stride, "padding": padding, option: int(value)}
        changed = arithmetic(**settings)  # type: ignore[arg-type]
        assert changed.fits and "×".join(map(str, changed.output or ())) == output
    assert bool(found.ways_out()) != found.fits or kernel > size


def test_kinds_of_layers() -> None:
    local = LocallyConnected2d(3, 6, (32, 32), 5)
    assert arithmetic(32, 5, channels=3, filters=6, kind="local").parameters == sum(
        p.numel() for p in local.parameters()
    )
    pool = arithmetic(55, 3, stride=2, channels=96, kind="pool")
    assert pool.output == tuple(F.max_pool2d(torch.zeros(1, 96, 55, 55), 3, 2).shape[2:])
    causal = arithmetic((9,), 3, dilation=2, padding="causal")
    assert causal.output == (9,) and causal.axes[0].reads(4) == [0, 2, 4]
    signal = arithmetic((9,), 3, stride=2, channels=2, filters=4)
    assert signal.output == tuple(nn.Conv1d(2, 4, 3, 2)(torch.zeros(1, 2, 9)).shape[2:])
    assert signal.parameters == 4 * (3 * 2 + 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": 0}, "input: expected 2 numbers from 1 to 65,536, got 0, 0"),
        ({"stride": 0}, "stride: expected 2 numbers"),
        ({"padding": -1}, "padding: expected 2 numbers from 0"),
        ({"padding": "some"}, "padding 'some': expected a number, valid, same, full, causal"),
        ({"padding": "same", "kind": "transposed"}, "does not apply to a transposed convolution"),
        ({"kernel": (1, 2, 3)}, "kernel: expected 2 numbers"),
        ({"input": (1, 2, 3)}, "expected one or two sizes, got 3"),
        ({"channels": 0}, "channels: expected a number from 1"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        arithmetic(**({"input": 7, "kernel": 3} | settings))  # type: ignore[arg-type]
