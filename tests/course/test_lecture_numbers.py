"""Every worked number of the lectures, by chapter of the course; docs/course/numbers.md lists the tests."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnet import concepts
from convnet.analysis import Summary, summary
from convnet.concepts import arithmetic
from convnet.features import FEATURES, FILTERS, POINT_OPERATIONS
from convnet.layers import Conv2d
from convnet.layers.activations import make_activation
from convnet.models import MODELS, build_model
from convnet.recipes.catalog import named_recipe
from convnet.training.regularizers import Regularizers
from convnet.types import ImageShape

NUMBERS = Path(__file__).parents[2] / "docs" / "course" / "numbers.md"


def table(name: str) -> Summary:
    facts = MODELS.facts(name)
    with torch.device("meta"):
        return summary(build_model(name, facts.native, facts.num_classes), facts.native, name=name)


def test_every_number_of_the_page_has_a_test_here() -> None:
    named = set(re.findall(r"`(test_\w+)`", NUMBERS.read_text()))
    assert named
    assert named == {name for name in globals() if name.startswith("test_chapter")}


def test_chapter_1_sizes_of_images() -> None:
    assert 32 * 32 * 3 == math.prod(MODELS.facts("lecture-picture").native) == 3072
    assert arithmetic((480, 640), 1).output == (480, 640) and 480 * 640 == 307_200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("darken", lambda x: x - 128),
        ("lower-contrast", lambda x: x / 2),
        ("lower-contrast-nonlinear", lambda x: (x / 255) ** (1 / 3) * 255),
        ("invert", lambda x: 255 - x),
        ("lighten", lambda x: x + 128),
        ("raise-contrast", lambda x: x * 2),
        ("raise-contrast-nonlinear", lambda x: (x / 255) ** 2 * 255),
    ],
)
def test_chapter_1_point_operations(name: str, expected: object) -> None:
    x = torch.arange(256.0)
    torch.testing.assert_close(POINT_OPERATIONS[name](x), expected(x))  # type: ignore[operator]


def test_chapter_2_scores_of_cat_dog_and_ship() -> None:
    weights = [[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0, 0.25, 0.2, -0.3]]
    for row, bias, expected in zip(weights, [1.1, 3.2, -1.2], [-96.8, 437.9, 60.75], strict=True):
        terms = " + ".join(f"({w}) * x{i}" for i, w in enumerate(row))
        found = concepts.computation_graph(f"{terms} + ({bias})", x0=56, x1=231, x2=24, x3=2)
        assert found.value == pytest.approx(expected)
        assert found.gradients == pytest.approx({f"x{i}": w for i, w in enumerate(row)})


def test_chapter_2_a_linear_classifier_of_cifar10_has_10_x_3072_weights() -> None:
    model = build_model("linear", MODELS.facts("lecture-picture").native, 10)
    assert {tuple(p.shape) for p in model.parameters()} == {(10, 3072), (10,)}


def test_chapter_2_the_perceptron_sees_400_pixels() -> None:
    letters = build_model("perceptron", ImageShape(1, 20, 20), 26)
    assert {tuple(p.shape) for p in letters.parameters()} == {(26, 400), (26,)}


def test_chapter_3_losses_of_cat_car_and_frog() -> None:
    found = concepts.loss([3.2, 5.1, -1.7], 0)
    assert found.probabilities == pytest.approx((0.13, 0.869, 0.001), abs=1e-3)
    assert found.cross_entropy == pytest.approx(-math.log(0.13), abs=1e-3)
    assert found.hinge == pytest.approx(max(0, 5.1 - 3.2 + 1) + max(0, -1.7 - 3.2 + 1)) == pytest.approx(2.9)


def test_chapter_4_momentum() -> None:
    path = concepts.descent(
        "valley", ["momentum"], steps=3, rates={"momentum": 0.05}, start=(1.0, 1.0)
    ).paths[0]
    w, v = np.array([1.0, 1.0]), np.zeros(2)
    for point in path.points:
        assert point == pytest.approx(tuple(w))
        v = 0.9 * v + np.array([0.02, 2.0]) * w
        w = w - 0.05 * v


def test_chapter_5_hog_of_320_x_240_has_10800_numbers() -> None:
    assert FEATURES.build("hog", 3, (240, 320), cell_size=8, block=0).out_features == 30 * 40 * 9 == 10_800


def test_chapter_6_activation_functions() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0])
    expected = {
        "sigmoid": 1 / (1 + np.exp([2.0, 0, -3])),
        "tanh": np.tanh([-2.0, 0, 3]),
        "relu": [0.0, 0, 3],
        "leaky-relu": [-0.2, 0, 3],
        "elu": [math.exp(-2) - 1, 0, 3],
    }
    for name, values in expected.items():
        torch.testing.assert_close(make_activation(name)(x.clone()), torch.tensor(values).float())


def test_chapter_6_without_activation_two_layers_are_one() -> None:
    first, second, x = torch.randn(5, 4), torch.randn(3, 5), torch.randn(4)
    torch.testing.assert_close(second @ (first @ x), (second @ first) @ x)


def test_chapter_7_penalties_and_weight_decay() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, -4.0]])
    for penalty, expected in (
        (Regularizers(l2=0.1), 0.5 * 0.1 * 25),
        (Regularizers(l1=0.1), 0.1 * 7),
        (Regularizers(l1=0.1, l2=0.1), 0.7 + 1.25),
    ):
        found = penalty.penalty(layer)
        assert found is not None and found.item() == pytest.approx(expected)
    found.backward()  # the gradient of the L2 part is λW
    torch.testing.assert_close(
        layer.weight.grad, 0.1 * layer.weight.detach() + 0.1 * torch.tensor([[1.0, -1.0]])
    )
    Regularizers(max_norm=1.0).project(layer)
    assert layer.weight.detach().norm().item() == pytest.approx(1.0)


def test_chapter_8_gradients_of_graphs() -> None:
    assert concepts.computation_graph("(x + y) * z", x=-2, y=5, z=-4).gradients == {"x": -4, "y": -4, "z": 3}
    neuron = concepts.computation_graph(
        "1 / (1 + exp(-(w0*x0 + w1*x1 + w2)))", w0=2, x0=-1, w1=-3, x1=-2, w2=-3
    )
    assert neuron.value == pytest.approx(0.73, abs=0.005)
    expected = {"w0": -0.2, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.2}
    assert neuron.gradients == pytest.approx(expected, abs=0.005)


def test_chapter_9_smoothing_a_signal() -> None:
    found = concepts.filtering([10, 50, 60, 10, 20, 40, 30], [1 / 3] * 3)
    assert found.convolution[0, 0] == pytest.approx([20, 40, 40, 30, 70 / 3, 30, 70 / 3])


def test_chapter_9_the_box_filter_over_the_square() -> None:
    picture = np.zeros((10, 10))
    picture[2:7, 3:8] = 90
    picture[5, 4] = 0
    picture[8, 2] = 90
    found = concepts.filtering(picture, np.full((3, 3), 1 / 9)).convolution[0]
    assert found[1] == pytest.approx([0, 0, 10, 20, 30, 30, 30, 20, 10, 0])
    assert found[3] == pytest.approx([0, 0, 30, 60, 90, 90, 90, 60, 30, 0])
    assert found[6, 4] == pytest.approx(50)  # the question mark of the slides
    named = FILTERS.build("box")(torch.tensor(picture)[None, None].float())[0, 0]
    torch.testing.assert_close(named.double(), torch.tensor(found))


def test_chapter_9_identity_shift_and_sharpening() -> None:
    image = np.arange(25.0).reshape(5, 5) ** 2
    identity, right = np.zeros((3, 3)), np.zeros((3, 3))
    identity[1, 1] = right[1, 2] = 1
    assert np.array_equal(concepts.filtering(image, identity).convolution[0], image)
    shifted = concepts.filtering(image, right)
    assert np.array_equal(shifted.correlation[0][:, :-1], image[:, 1:])  # left, as on the slide
    assert np.array_equal(shifted.convolution[0][:, 1:], image[:, :-1])
    sharpen = 2 * identity - np.full((3, 3), 1 / 9)
    assert FILTERS.build("sharpen").kernel.numpy() == pytest.approx(sharpen)
    assert sharpen.sum() == pytest.approx(1)


def test_chapter_9_the_first_output_is_51() -> None:
    image = [[2, 4, 9, 1, 4], [2, 1, 4, 4, 6], [1, 1, 2, 9, 2], [7, 3, 5, 1, 3], [2, 3, 4, 8, 5]]
    kernel = [[1, 2, 3], [-4, 7, 4], [2, -5, 1]]
    found = concepts.filtering(image, kernel)
    assert found.correlation[0, 1, 1] == 51
    valid = F.conv2d(torch.tensor(image)[None, None].float(), torch.tensor(kernel)[None, None].float())
    assert valid.shape[2:] == (3, 3) and valid[0, 0, 0, 0] == 51


def test_chapter_9_sizes_of_a_convolution_layer() -> None:
    layer = Conv2d(3, 6, 5)
    assert layer.weight.shape == (6, 3, 5, 5) and layer.bias is not None and layer.bias.shape == (6,)
    assert layer(torch.randn(2, 3, 32, 32)).shape == (2, 6, 28, 28)
    found = arithmetic(32, 5, channels=3, filters=6)
    assert (found.output, found.filters, found.weights_per_filter) == ((28, 28), 6, 75)
    assert arithmetic(32, 5, channels=3, filters=5).output == (28, 28)  # a grid of 28×28×5 neurons
    stacked = nn.Sequential(layer, nn.ReLU(), Conv2d(6, 10, 3))
    assert stacked(torch.randn(1, 3, 32, 32)).shape == (1, 10, 26, 26)


def test_chapter_9_the_toeplitz_matrix() -> None:
    found = concepts.toeplitz(list(range(1, 10)), 5, padding=4)  # a b c d e on the diagonals, all full
    expected = [[5, 6, 7, 8, 9], [4, 5, 6, 7, 8], [3, 4, 5, 6, 7], [2, 3, 4, 5, 6], [1, 2, 3, 4, 5]]
    assert found.matrix.tolist() == expected


def test_chapter_10_seven_by_seven() -> None:
    sizes = [arithmetic(7, 3, stride=stride) for stride in (1, 2, 3)]
    assert [found.output for found in sizes] == [(5, 5), (3, 3), (2, 2)]
    assert [found.fits for found in sizes] == [True, True, False]
    assert "2.33: does not fit" in str(sizes[2])
    assert arithmetic(7, 3, padding=1).output == (7, 7)


@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 1), (5, 2), (7, 3)])
def test_chapter_10_padding_that_keeps_the_size(kernel: int, padding: int) -> None:
    for given in (padding, "same"):
        found = arithmetic(32, kernel, padding=given)  # type: ignore[arg-type]
        assert found.output == (32, 32) and found.sides[0].padding == (padding, padding)
    assert arithmetic(32, 5, stride=2, padding="same").output == (16, 16)  # "whatever fits"


def test_chapter_10_maps_shrink_from_32_to_28_to_24() -> None:
    first = arithmetic(32, 5).output
    assert first == (28, 28) and arithmetic(first, 5).output == (24, 24)


def test_chapter_10_ten_filters_have_760_parameters() -> None:
    found = arithmetic(32, 5, padding=2, channels=3, filters=10)
    assert (found.output, found.weights_per_filter + 1, found.parameters) == ((32, 32), 76, 760)


def test_chapter_10_the_first_layers_of_alexnet() -> None:
    first = arithmetic(227, 11, stride=4, channels=3, filters=96)
    assert (first.output, first.kernels * first.weights_per_filter) == ((55, 55), 34_848)
    pool = arithmetic(55, 3, stride=2, channels=96, kind="pool")
    assert (pool.output, pool.filters, pool.parameters) == ((27, 27), 96, 0)


def test_chapter_10_one_by_one() -> None:
    found = arithmetic(56, 1, channels=64, filters=32)
    assert (found.output, found.filters, found.weights_per_filter) == ((56, 56), 32, 64)


def test_chapter_10_knowledge_checks() -> None:
    bank = arithmetic(224, 3, padding=1, channels=3, filters=96)
    assert (bank.weights_per_filter, bank.kernels) == (27, 96)
    assert arithmetic(55, 3, channels=96).weights_per_filter == 864


def test_chapter_11_max_pools() -> None:
    first = concepts.pooling([[2, 2, 7, 3], [9, 4, 6, 1], [8, 5, 2, 4], [3, 1, 2, 6]])
    assert first.output.tolist() == [[[9, 7], [8, 6]]]
    second = concepts.pooling([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    assert second.output.tolist() == [[[6, 8], [3, 4]]]


def test_chapter_11_batch_norm() -> None:
    values = np.array([[1.0, 100], [2, 300], [3, 100], [6, 500]])
    expected = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
    assert concepts.normalization(values).output == pytest.approx(expected)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_chapter_12_receptive_field_of_stacked_layers(kernel: int, layers: int) -> None:
    stack = nn.Sequential(*[nn.Conv2d(1, 1, kernel, padding=kernel // 2) for _ in range(layers)])
    field = 1 + layers * (kernel - 1)
    assert summary(stack, (1, 40, 40)).layers[-1].receptive_field == (field, field)


def test_chapter_13_alexnet() -> None:
    outputs = [layer.output for layer in table("alexnet").layers if layer.type != "ReLU"]
    volumes = [(96, 55, 55), (96, 27, 27), (96, 27, 27), (256, 27, 27), (256, 13, 13), (256, 13, 13)]
    volumes += [(384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)]
    assert outputs[: len(volumes)] == volumes
    assert list(dict.fromkeys(outputs[len(volumes) :])) == [(4096,), (1000,)]
    assert table("alexnet").parameters == 62_378_344


def test_chapter_13_zfnet() -> None:
    convolutions = [layer for layer in table("zfnet").layers if layer.type == "Conv2d"]
    assert convolutions[0].window is not None
    side = convolutions[0].window.sides[0]
    assert (side.kernel_size, side.stride) == (7, 2)
    assert [layer.output and layer.output[0] for layer in convolutions[2:]] == [512, 1024, 512]


@pytest.mark.parametrize(
    ("name", "millions", "weight_layers"),
    [("a", 133, 11), ("a-lrn", 133, 11), ("b", 133, 13), ("c", 134, 16), ("d", 138, 16), ("e", 144, 19)],
)
def test_chapter_13_vgg_configurations(name: str, millions: int, weight_layers: int) -> None:
    found = table(f"vgg-{name}")
    assert round(found.parameters / 1e6) == millions
    assert sum(1 for layer in found.layers if layer.parameters) == weight_layers


def test_chapter_13_vgg_d_layer_by_layer() -> None:
    layers = [
        layer
        for layer in table("vgg-d").layers
        if layer.type in ("Conv2d", "MaxPool2d", "FlattenLinear", "Linear")
    ]
    sizes = [224] * 2 + [112] * 3 + [56] * 4 + [28] * 4 + [14] * 4 + [7]
    channels = [64] * 3 + [128] * 3 + [256] * 4 + [512] * 8
    assert [layer.output for layer in layers[:18]] == [
        (c, s, s) for c, s in zip(channels, sizes, strict=True)
    ]
    weights = [layer.parameters - (layer.output or (0,))[0] if layer.parameters else 0 for layer in layers]
    assert weights == [
        1_728, 36_864, 0, 73_728, 147_456, 0, 294_912, 589_824, 589_824, 0,
        1_179_648, 2_359_296, 2_359_296, 0, 2_359_296, 2_359_296, 2_359_296, 0,
        102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip
    memory = [math.prod(layer.output or ()) for layer in layers]
    assert memory[0] == 224 * 224 * 64 and memory[2] == 112 * 112 * 64 and memory[17] == 7 * 7 * 512


def test_chapter_13_googlenet() -> None:
    facts = MODELS.facts("googlenet")
    with torch.device("meta"):
        network = build_model("googlenet", facts.native, 1000, auxiliary=False)
    assert sum(p.numel() for p in network.parameters()) == 6_998_552
    assert pytest.approx(8.9, abs=0.05) == 62_378_344 / 6_998_552


def test_chapter_13_resnet_recipe() -> None:
    recipe = named_recipe("resnet18-imagenet")
    optimizer = recipe.optimizer.options
    assert (recipe.optimizer.name, optimizer["lr"], optimizer["weight_decay"]) == ("momentum", 0.1, 1e-5)
    assert (recipe.schedule.name, recipe.schedule.options["gamma"], recipe.batch_size) == (
        "plateau",
        0.1,
        256,
    )
    network = build_model("resnet18", MODELS.facts("resnet18").native, 1000)
    assert not any(isinstance(module, nn.Dropout) for module in network.modules())


def test_chapter_14_the_programming_task() -> None:
    layers = [layer for layer in table("lecture-mnist").layers if layer.type != "ReLU"]
    outputs = [layer.output for layer in layers if layer.parameters or "Pool" in layer.type]
    assert outputs == [(64, 13, 13), (32, 13, 13), (32, 12, 12), (256,), (10,)]
    network = build_model("lecture-mnist", MODELS.facts("lecture-mnist").native, 10)
    assert [m.p for m in network.modules() if hasattr(m, "p")] == [0.35, 0.5]


def test_chapter_14_alexnet_recipe() -> None:
    recipe = named_recipe("alexnet-imagenet")
    assert (recipe.optimizer.options["lr"], recipe.batch_size) == (0.01, 128)
    network = build_model("alexnet", MODELS.facts("alexnet").native, 1000)
    assert {m.p for m in network.modules() if hasattr(m, "p")} == {0.5}


def test_chapter_15_filters_of_alexnet() -> None:
    shape = MODELS.facts("alexnet").native
    with torch.device("meta"):
        one_tower = build_model("alexnet", shape, 10, layout="one-tower")
        paper = build_model("alexnet", shape, 10)
    shapes = [
        next(m for m in net.modules() if isinstance(m, nn.Conv2d)).weight.shape for net in (one_tower, paper)
    ]
    assert [tuple(shape) for shape in shapes] == [(64, 3, 11, 11), (96, 3, 11, 11)]


def test_chapter_15_the_network_of_the_layer_pictures() -> None:
    layers = table("lecture-picture").layers
    convolutions = [layer for layer in layers if layer.type == "Conv2d"]
    assert [layer.output and layer.output[0] for layer in convolutions] == [10] * 6
    sides = [layer.window.sides[0] for layer in layers if layer.window]
    assert {(s.kernel_size, s.stride, s.padding[0]) for s in sides} == {(3, 1, 1), (2, 2, 0)}


def test_chapter_6_capacity_and_regularization() -> None:
    sizes = [build_model("mlp", ImageShape(2, 1, 1), 2, hidden=(units,)) for units in (3, 6, 20)]
    assert [sum(p.numel() for p in model.parameters()) for model in sizes] == [
        (2 + 1) * units + (units + 1) * 2 for units in (3, 6, 20)
    ]
    penalties = [Regularizers(l2=strength).penalty(sizes[0]) for strength in (0.001, 0.01, 0.1)]
    values = [0.0 if penalty is None else penalty.item() for penalty in penalties]
    assert values == pytest.approx([values[0], 10 * values[0], 100 * values[0]]) and values[0] > 0


def test_chapter_9_flattening() -> None:
    assert torch.tensor([[56, 231], [24, 2]]).flatten().tolist() == [56, 231, 24, 2]


@pytest.mark.parametrize("size", [7, 32])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_chapter_10_summary_of_layers(size: int, kernel: int, stride: int) -> None:
    found = arithmetic(size, kernel, stride=stride, padding=1, channels=3, filters=8)
    side = (size - kernel + 2) // stride + 1
    assert found.output == (side, side) and found.filters == 8
    assert found.kernels * found.weights_per_filter == kernel**2 * 3 * 8
    assert found.parameters - found.kernels * found.weights_per_filter == 8
    pool = arithmetic(size, kernel, stride=stride, channels=3, kind="pool")
    assert pool.output == ((size - kernel) // stride + 1,) * 2 and (pool.filters, pool.parameters) == (3, 0)


def test_chapter_13_lenet5() -> None:
    windows = [layer.window.sides[0] for layer in table("lenet5").layers if layer.window]
    assert [(side.kernel_size, side.stride) for side in windows] == [(5, 1), (2, 2), (5, 1), (2, 2), (5, 1)]


def test_chapter_13_resnet_begins_with_56_x_56() -> None:
    pool = next(layer for layer in table("resnet50").layers if layer.type == "MaxPool2d")
    assert pool.output == (64, 56, 56)


def test_chapter_14_convnetjs() -> None:
    recipe = named_recipe("convnetjs-cifar10")
    assert recipe.optimizer.name == "adadelta"
    assert (recipe.augment.flip, recipe.augment.shift) == (True, 2)
