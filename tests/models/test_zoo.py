"""What the papers and the lectures say of their networks (M60–M70)."""

from __future__ import annotations

import torch
from torch import nn

from convnet import summary
from convnet.layers import layers_of
from convnet.models import MODELS, build_model
from convnet.models.neocognitron import ComplexCells
from convnet.recipes import RECIPES
from convnet.types import AuxiliaryLogits, ImageShape


def native(name: str, **options: object) -> nn.Module:
    facts = MODELS.facts(name)
    with torch.device("meta"):
        return build_model(name, facts.native, facts.num_classes, **options)


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_alexnet_groups_are_the_papers() -> None:
    """M61: the second, fourth and fifth convolution are divided between two GPUs."""
    assert [layer.groups for layer in convolutions(native("alexnet", groups=2))] == [1, 2, 1, 2, 2]
    first = convolutions(native("alexnet"))[0]
    assert (first.kernel_size, first.stride, first.padding) == ((11, 11), (4, 4), (0, 0))


def test_vgg_has_small_filters_only() -> None:
    """M63: 3×3 stride 1 pad 1 (C has 1×1 too), 2×2 pools; 11, 13, 16, 16, 19 weight layers."""
    depths = {}
    for letter in ("a", "b", "c", "d", "e"):
        model = native(f"vgg-{letter}")
        kernels = {layer.kernel_size[0] for layer in convolutions(model)}
        assert kernels == ({1, 3} if letter == "c" else {3})
        depths[letter] = len(convolutions(model)) + 3
    assert list(depths.values()) == [11, 13, 16, 16, 19]


def test_googlenet_volumes_and_auxiliary_heads() -> None:
    """M64: table 1 of the paper; the heads only speak in training, and their losses count 0.3."""
    model = native("googlenet")
    rows = {layer.name: layer for layer in summary(model, MODELS.facts("googlenet").native).layers}
    outputs = [row.output for row in rows.values() if row.type == "cat"]
    assert outputs == [
        (256, 28, 28), (480, 28, 28), (512, 14, 14), (512, 14, 14), (512, 14, 14), (528, 14, 14),
        (832, 14, 14), (832, 7, 7), (1024, 7, 7),
    ]  # fmt: skip
    small = build_model("googlenet", ImageShape(3, 64, 64), 4)
    output = small.train()(torch.randn(2, 3, 64, 64))
    assert isinstance(output, AuxiliaryLogits)
    assert [logits.shape for logits in output.auxiliary] == [(2, 4)] * 2 and output.weight == 0.3
    assert isinstance(small.eval()(torch.randn(2, 3, 64, 64)), torch.Tensor)


def test_resnets_norm_every_convolution() -> None:
    """M65: batch norm after every convolution, no dropout, He initialization."""
    for name in ("resnet18", "resnet50", "resnet20"):
        model = native(name)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert len(norms) == len(convolutions(model))
        assert not any("Dropout" in type(module).__name__ for module in model.modules())
        assert all(layer.bias is None for layer in convolutions(model))
    torch.manual_seed(0)
    layer = convolutions(build_model("resnet18", MODELS.facts("resnet18").native, 10))[-1]
    assert abs(float(layer.weight.detach().std()) / (2 / (512 * 9)) ** 0.5 - 1) < 0.01


def test_the_network_of_the_lectures_pictures() -> None:
    """M69: three times CONV-RELU-CONV-RELU-POOL with ten 3×3 filters."""
    kinds = [type(module).__name__ for module in layers_of(native("lecture-picture"))]
    assert kinds == [*["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"] * 3, "FlattenLinear"]
    assert {layer.out_channels for layer in convolutions(native("lecture-picture"))} == {10}


def test_the_neocognitron_alternates_simple_and_complex_cells() -> None:
    """M70: simple cells learn, complex cells only pool: smoothly, and between 0 and 1."""
    kinds = [type(module).__name__ for module in layers_of(native("neocognitron"))]
    assert kinds == [*["Conv2d", "ReLU", "ComplexCells"] * 3, "FlattenLinear"]
    cells = ComplexCells()
    assert not list(cells.parameters())
    x = torch.rand(1, 2, 16, 16) * 50
    y = cells(x)
    assert y.shape == (1, 2, 8, 8) and float(y.min()) >= 0 and float(y.max()) < 1
    moved = cells(torch.roll(x, 1, 3))
    assert float((moved - y).norm() / y.norm()) < float((torch.roll(x, 1, 3) - x).norm() / x.norm())


def test_every_network_of_the_lectures_has_a_recipe() -> None:
    """M60–M70; M61 and M65 say with which settings."""
    trained = {recipe.build().model.name for recipe in RECIPES.values()}
    assert trained >= set(MODELS) - {"majority"}
    alexnet = RECIPES["alexnet-imagenet"].build()
    assert alexnet.batch_size == 128 and alexnet.model.options["dropout"] == 0.5
    assert (alexnet.optimizer.name, alexnet.optimizer.options["momentum"]) == ("momentum", 0.9)
    assert alexnet.optimizer.options["lr"] == 1e-2 and alexnet.preprocess.image_size == 227
    resnet = RECIPES["resnet50-imagenet"].build()
    assert (resnet.batch_size, resnet.schedule.name) == (256, "plateau")
    assert resnet.optimizer.options["lr"] == 0.1 and resnet.optimizer.options["weight_decay"] == 1e-5
