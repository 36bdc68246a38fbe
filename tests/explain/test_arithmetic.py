"""The arithmetic of units, compared with what networks compute."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.explain.arithmetic import unit
from convnet.explain.capture import Capture, capture, with_softmax
from convnet.models import MODELS, build_model
from convnet.types import ImageShape

LARGE = 64
OPAQUE = {"interpolate"}
"""Operations of the zoo's networks without arithmetic of single units."""
NETWORKS = [
    name
    for name in MODELS
    if name not in ("knn", "majority", "pipeline")  # fitted, no layers
    and name not in ("vgg-b", "vgg-c", "vgg-d", "vgg-e", "resnet50", "resnet101", "resnet152", "resnet110")
]


def _captured(name: str) -> Capture:
    native = MODELS.facts(name).native
    side = max(MODELS.facts(name).smallest_for(), LARGE) if native.height > LARGE else native.height
    shape = native if native.height == 1 else ImageShape(native.channels, side, side)
    torch.manual_seed(0)
    model = build_model(name, shape, 10)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return capture(model, torch.randn(1, *shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_units_of_every_layer_are_what_the_network_computed(name: str) -> None:
    found = _captured(name)
    if found.output.dim() == 2:
        found = with_softmax(found)
    generator = torch.Generator().manual_seed(1)
    for op in found.operations:
        for _ in range(2):
            place = [int(torch.randint(n, (), generator=generator)) for n in op.output.shape[1:]]
            made = unit(found, op.name, place)
            assert op.kind in OPAQUE or "no arithmetic" not in made.formula, op
            scale = max(1.0, float(op.output.abs().max()))
            assert made.computed == pytest.approx(made.value, abs=2e-5 * scale, rel=1e-4), op
            if made.products is not None:
                total = float(made.products.sum()) + (made.bias or 0.0)
                assert total == pytest.approx(made.computed, abs=1e-9 * scale)


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_units_of_random_convolutions(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: int,
    groups: int,
    bias: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias)
    _require_equal(nn.Sequential(layer, nn.ReLU()), torch.randn(1, 4, 13, 12), "0")


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        pytest.param(
            nn.Conv2d(4, 4, 4, padding="same", bias=False),
            marks=pytest.mark.filterwarnings("ignore:Using padding='same'"),
        ),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d((3, 5)),
        nn.AdaptiveMaxPool2d((3, 5)),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.LeakyReLU(0.1),
        nn.ReLU(inplace=True),
        nn.ZeroPad2d((1, 2, 0, 1)),
        nn.Dropout(0.5),
        nn.Softmax(dim=1),
    ],
    ids=str,
)
def test_units_of_single_layers(layer: nn.Module) -> None:
    _require_equal(nn.Sequential(layer), torch.randn(1, 4, 11, 9), "0")


def _require_equal(model: nn.Module, x: Tensor, layer: str) -> None:
    found = capture(model, x)
    output = found[layer].output
    for place in _places(output):
        made = unit(found, layer, place)
        assert made.computed == pytest.approx(float(output[(0, *place)]), abs=1e-5), place


def _places(output: Tensor) -> list[tuple[int, ...]]:
    """The corners and a few positions in between."""
    generator = torch.Generator().manual_seed(0)
    shape = output.shape[1:]
    inside = [tuple(int(torch.randint(n, (), generator=generator)) for n in shape) for _ in range(6)]
    return [tuple(0 for _ in shape), tuple(n - 1 for n in shape), *inside]


def test_the_worked_example_of_a_convolution() -> None:
    """M23: 51 in the first place."""
    image = [[2, 4, 9, 1, 4], [2, 1, 4, 4, 6], [1, 1, 2, 9, 2], [7, 3, 5, 1, 3], [2, 3, 4, 8, 5]]
    kernel = [[1, 2, 3], [-4, 7, 4], [2, -5, 1]]
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data = torch.tensor(kernel).float()[None, None]
    made = unit(capture(nn.Sequential(layer), torch.tensor(image).float()[None, None]), "0", (0, 0, 0))
    assert made.value == made.computed == 51
    assert made.patch is not None and made.patch[0].tolist() == [row[:3] for row in image[:3]]
    assert made.kernel is not None and made.kernel[0].tolist() == kernel
    assert made.window == (0, 2, 0, 2) and made.activation is None


def test_the_activation_behind_a_norm_and_behind_a_pool() -> None:
    torch.manual_seed(0)
    normed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    found = capture(normed, torch.randn(1, 1, 6, 6))
    made = unit(found, "0", (1, 2, 2))
    assert made.activation_name == "2" and made.activation == float(found["2"].output[0, 1, 2, 2])
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Tanh())
    made = unit(capture(pooled, torch.randn(1, 1, 6, 6)), "0", (1, 2, 2))
    assert made.activation == pytest.approx(math.tanh(made.value))


def test_units_that_there_are_not() -> None:
    found = capture(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.randn(1, 1, 6, 6))
    for place in ((2, 0, 0), (0, 4, 0), (0, 0, -1), (0,), (0, 0, 0, 0)):
        with pytest.raises(ModelError, match="2×4×4, so units go from 0,0,0 to 1,3,3"):
            unit(found, "0", place)
    with pytest.raises(ModelError, match="no layer 'conv'"):
        unit(found, "conv", (0, 0, 0))


def test_layers_in_place_are_recorded_as_they_were() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    found = capture(model, torch.randn(1, 1, 6, 6), gradient_of=0)
    assert float(found["0"].output.min()) < 0 <= float(found["1"].output.min())
    assert found["0"].gradient is not None and found["0"].gradient.shape == found["0"].output.shape
