"""The contract of the zoo: registering a network is testing it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from convnet.errors import ModelError, RecipeError, UnknownNameError
from convnet.layers import ACTIVATIONS, INITIALIZERS
from convnet.models import MODELS, build_model
from convnet.types import ImageShape

NATIVE = {
    "lecture-mnist": (1, 28, 10),
    "lenet5": (1, 32, 10),
    "convnetjs-mnist": (1, 28, 10),
    "convnetjs-cifar10": (3, 32, 10),
    "linear": (3, 32, 10),
    "mlp": (3, 32, 10),
    "resnet9": (3, 32, 10),
    "small-convnet": (3, 48, 7),
}
SMALLEST = {
    "lecture-mnist": 5,
    "lenet5": 28,
    "convnetjs-mnist": 6,
    "convnetjs-cifar10": 8,
    "linear": 1,
    "mlp": 1,
    "resnet9": 8,
    "small-convnet": 4,
}
PARAMETERS = {
    "lecture-mnist": 1_191_338,
    "lenet5": 61_706,
    "convnetjs-mnist": 208 + 3_216 + 2_570,
    "convnetjs-cifar10": 1_216 + 8_020 + 10_020 + 3_210,
    "linear": 30_730,
    "resnet9": 6_573_130,
}


def build(name: str, channels: int, size: int, classes: int, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(name, ImageShape(channels, size, size), classes, **options)


@pytest.mark.parametrize("name", list(MODELS))
class TestEveryModel:
    def test_logits_and_gradients(self, name: str) -> None:
        channels, size, classes = NATIVE[name]
        model = build(name, channels, size, classes)
        logits = model(torch.randn(3, channels, size, size))
        assert logits.shape == (3, classes)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
        missing = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
        assert not missing

    @pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 1000), (4, 3)])
    def test_any_channels_and_classes(self, name: str, channels: int, classes: int) -> None:
        size = NATIVE[name][1]
        model = build(name, channels, size, classes).eval()
        assert model(torch.randn(2, channels, size, size)).shape == (2, classes)

    def test_smallest_size_accepted_and_one_less_refused(self, name: str) -> None:
        smallest = SMALLEST[name]
        assert build(name, 1, smallest, 2).eval()(torch.randn(1, 1, smallest, smallest)).shape == (1, 2)
        if smallest > 1:
            with pytest.raises(ModelError, match=f"{name} needs images of at least {smallest}×{smallest}"):
                build(name, 1, smallest - 1, 2)

    def test_oblong_images(self, name: str) -> None:
        size = NATIVE[name][1]
        model = build_model(name, ImageShape(2, size, size + 13), 5).eval()
        assert model(torch.randn(1, 2, size, size + 13)).shape == (1, 5)

    def test_evaluation_is_repeatable_and_survives_saving(self, name: str, tmp_path: Path) -> None:
        channels, size, classes = NATIVE[name]
        model, other = build(name, channels, size, classes).eval(), build(name, channels, size, classes)
        x = torch.randn(2, channels, size, size)
        save_file(model.state_dict(), tmp_path / "w.safetensors")
        torch.nn.init.ones_(next(other.parameters()))
        other.load_state_dict(load_file(tmp_path / "w.safetensors"))
        assert torch.equal(model(x), model(x))
        assert torch.equal(model(x), other.eval()(x))

    def test_same_seed_same_weights(self, name: str) -> None:
        channels, size, classes = NATIVE[name]
        one, two = (build(name, channels, size, classes).state_dict() for _ in range(2))
        assert all(torch.equal(one[k], two[k]) for k in one)

    def test_channels_last_computes_the_same(self, name: str) -> None:
        channels, size, classes = NATIVE[name]
        model, x = build(name, channels, size, classes).eval(), torch.randn(2, channels, size, size)
        expected = model(x)
        fast = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(fast, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts(name: str) -> None:
    model = build(name, *NATIVE[name])
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("name", ["lenet5", "mlp", "convnetjs-mnist", "resnet9", "small-convnet"])
def test_activations_are_selectable(name: str, activation: str) -> None:
    model = build(name, 1, 28, 4, activation=activation)
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 4)


@pytest.mark.parametrize("init", list(INITIALIZERS))
def test_initialisations_are_selectable(init: str) -> None:
    assert build("lecture-mnist", 1, 28, 10, init=init) is not None


def test_lecture_mnist_is_the_programming_task() -> None:
    """M48, layer by layer: the volumes behind the convolutions and the pool, and the order of the layers."""
    model = build("lecture-mnist", 1, 28, 10)
    x, shapes = torch.randn(1, 1, 28, 28), []
    for layer in model:
        x = layer(x)
        shapes.append((type(layer).__name__, tuple(x.shape[1:])))
    assert shapes == [
        ("Conv2d", (64, 13, 13)),
        ("ReLU", (64, 13, 13)),
        ("Conv2d", (32, 13, 13)),
        ("MaxPool2d", (32, 12, 12)),
        ("ReLU", (32, 12, 12)),
        ("Dropout", (32, 12, 12)),
        ("MapsToDense", (256,)),
        ("Tanh", (256,)),
        ("Dropout", (256,)),
        ("Linear", (10,)),
    ]
    assert [model[5].p, model[8].p] == [0.35, 0.5]


def test_the_linear_scores_of_the_lectures() -> None:
    """M02: W x + b = [-96.8, 437.9, 60.75]; the slide's 61.95 for ship lacks its bias."""
    model = build_model("linear", ImageShape(1, 2, 2), 3).double()
    rows = [[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0, 0.25, 0.2, -0.3]]
    model.load_state_dict({"weight": torch.tensor(rows), "bias": torch.tensor([1.1, 3.2, -1.2])})
    x = torch.tensor([56.0, 231, 24, 2]).view(1, 1, 2, 2)
    torch.testing.assert_close(model(x.double())[0].tolist(), [-96.8, 437.9, 60.75], rtol=1e-6, atol=1e-4)


def test_an_mlp_without_hidden_layers_is_linear_and_depth_is_free() -> None:
    assert sum(p.numel() for p in build("mlp", 1, 8, 10, hidden=()).parameters()) == 650
    six = build("mlp", 1, 8, 10, hidden=(20, 20, 20, 20, 20))
    assert sum(isinstance(m, torch.nn.ReLU) for m in six.modules()) == 5


def test_names_and_options_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lenet5'"):
        build("lenet", 1, 32, 10)
    with pytest.raises(RecipeError, match="'width' is not an option of model linear"):
        build("linear", 1, 32, 10, width=3)
    with pytest.raises(UnknownNameError, match="cannot be imported"):
        build("nowhere:net", 1, 32, 10)


def test_any_factory_stands_in_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n"
        "def flat(num_classes: int, *, hidden: int = 5):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(hidden), nn.Linear(hidden, num_classes))\n"
        "def broken(in_channels):\n    raise KeyError('oops')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert build("my_nets:flat", 1, 8, 4, hidden=6)(torch.randn(2, 1, 8, 8)).shape == (2, 4)
    with pytest.raises(RecipeError, match="'hiden' is not an option"):
        build("my_nets:flat", 1, 8, 4, hiden=6)
    with pytest.raises(ModelError, match="failed to build: KeyError"):
        build("my_nets:broken", 1, 8, 4)
