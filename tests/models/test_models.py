"""The contract of the zoo: registering a network is testing it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from convnet.errors import ModelError, RecipeError, UnknownNameError
from convnet.layers import ACTIVATIONS, INITIALIZERS, Fitted, layers_of, sizes_of
from convnet.models import MODELS, Pipeline, build_model
from convnet.types import AuxiliaryLogits, ImageShape


def build(name: str, channels: int, size: int, classes: int, **options: object) -> torch.nn.Module:
    """With what it learns in one pass learned, from random images."""
    torch.manual_seed(0)
    model = build_model(name, ImageShape(channels, size, size), classes, **options)
    if not any(p.is_meta for p in model.parameters()):
        learn(model, torch.rand(40, channels, size, size), torch.arange(40) % classes)
    return model


def learn(model: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> None:
    stages = list(model) if isinstance(model, Pipeline) else [model]
    for stage in stages:
        if isinstance(stage, Fitted):
            given = images.clone()
            stage.fit(lambda given=given: [(given, targets)], lambda given=given: [(given, targets)])
        images = stage(images) if stage is not stages[-1] else images


def expected(name: str, count: int, outputs: int, shape: ImageShape) -> tuple[int, ...]:
    """The shape of what a network must return: logits, or maps of the image's size."""
    if "class" in MODELS.facts(name).targets:
        return (count, outputs)
    height, width = (side + (-side) % sizes_of(build_on_meta(name, shape)).multiple for side in shape[1:])
    return (count, outputs, height, width)


def build_on_meta(name: str, shape: ImageShape) -> torch.nn.Module:
    with torch.device("meta"):
        return build_model(name, shape, 2)


def take(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Images padded to a size that the network takes."""
    height, width = (-side % sizes_of(model).multiple for side in images.shape[2:])
    return torch.nn.functional.pad(images, (0, width, 0, height))


FITTED = {"knn", "majority"}
"""Networks that are not trained by steps."""
GRADIENTS = [name for name in MODELS if MODELS.facts(name).parameters]
"""Models that are trained by steps."""
WHOLE = [name for name in GRADIENTS if name != "pipeline"]
"""Models of which nothing has to be learned before they can be run, so that their shapes need no data."""


def small(name: str) -> int:
    """A size at which the network is quick to try: its smallest, but large enough for a real batch norm."""
    facts = MODELS.facts(name)
    return max(facts.smallest_for(), min(facts.native.height, 32))


@pytest.mark.parametrize("name", list(MODELS))
class TestEveryModel:
    def test_facts(self, name: str) -> None:
        """At its native size: the count of parameters, and a logit per class."""
        facts = MODELS.facts(name)
        with torch.device("meta"):
            model = build_model(name, facts.native, facts.num_classes).eval()
        assert sum(p.numel() for p in model.parameters()) == facts.parameters
        if name in WHOLE:
            made = model(torch.empty(2, *facts.native, device="meta")).shape
            assert made == expected(name, 2, facts.num_classes, facts.native)
        assert re.match(r"[A-Z].*[.:]|\[", MODELS[name].__doc__ or "")

    @pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 1000), (4, 3)])
    def test_any_channels_and_classes(self, name: str, channels: int, classes: int) -> None:
        size = small(name)
        if name not in WHOLE:
            channels = min(channels, 3)  # colors, or gray
            model = build(name, channels, size, classes).eval()
            assert model(torch.rand(2, channels, size, size)).shape == (2, classes)
            return
        with torch.device("meta"):
            model = build(name, channels, size, classes).eval()
            shape = ImageShape(channels, size, size)
            assert model(take(model, torch.randn(2, *shape))).shape == expected(name, 2, classes, shape)

    def test_smallest_size_accepted_and_one_less_refused(self, name: str) -> None:
        smallest = MODELS.facts(name).smallest_for()
        model = build(name, 1, smallest, 2).eval()
        shape = ImageShape(1, smallest, smallest)
        assert model(take(model, torch.randn(1, *shape))).shape == expected(name, 1, 2, shape)
        if smallest > 1:
            with pytest.raises(ModelError, match=f"{name} needs images of at least {smallest}×{smallest}"):
                build(name, 1, smallest - 1, 2)

    def test_oblong_images(self, name: str) -> None:
        height, width = small(name), small(name) + 13
        model = build_model(name, ImageShape(3, height, width), 5).eval()
        learn(model, torch.rand(30, 3, height, width), torch.arange(30) % 5)
        shape = ImageShape(3, height, width)
        assert model(take(model, torch.rand(1, *shape))).shape == expected(name, 1, 5, shape)

    def test_evaluation_is_repeatable_and_survives_saving(self, name: str, tmp_path: Path) -> None:
        channels, size = MODELS.facts(name).native.channels, small(name)
        model, other = build(name, channels, size, 5).eval(), build(name, channels, size, 5)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
        x = torch.randn(2, channels, size, size)
        expected = model(x).detach()
        assert torch.equal(model(x), expected)
        save_file(model.state_dict(), tmp_path / "w.safetensors")
        for parameter in other.parameters():
            torch.nn.init.ones_(parameter)
        other.load_state_dict(load_file(tmp_path / "w.safetensors"))
        assert torch.equal(other.eval()(x), expected)
        fast = other.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(fast, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("name", GRADIENTS)
def test_training_reaches_every_parameter(name: str) -> None:
    """With auxiliary heads, the loop's objective; and again in evaluation, without them."""
    channels, size = MODELS.facts(name).native.channels, small(name)
    model = build(name, channels, size, 5).train()
    output = model(torch.randn(3, channels, size, size))
    heads = [output.logits, *output.auxiliary] if isinstance(output, AuxiliaryLogits) else [output]
    assert all(logits.shape == expected(name, 3, 5, ImageShape(channels, size, size)) for logits in heads)
    targets = torch.arange(3).view(3, *[1] * (heads[0].dim() - 2)).expand(3, *heads[0].shape[2:])
    sum(torch.nn.functional.cross_entropy(logits, targets) for logits in heads).backward()
    missing = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not missing
    assert len(model.eval()(torch.randn(1, channels, size, size))) == 1


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("alexnet", {"groups": 2}, 60_965_224),  # the two GPUs of the paper
        ("googlenet", {"auxiliary": False}, 6_998_552),
        ("vgg-d", {"batch_norm": True}, 138_361_768),
    ],
)
def test_parameters_of_variants(name: str, options: dict[str, object], parameters: int) -> None:
    facts = MODELS.facts(name)
    with torch.device("meta"):
        model = build_model(name, facts.native, facts.num_classes, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_vgg_in_millions() -> None:
    """M63: the last row of the lectures' table."""
    millions = [
        round(MODELS.facts(f"vgg-{letter}").parameters / 1e6) for letter in ("a", "a-lrn", "b", "c", "d", "e")
    ]
    assert millions == [133, 133, 133, 134, 138, 144]


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("name", ["lenet5", "mlp", "convnetjs-mnist", "resnet9", "small-convnet"])
def test_activations_are_selectable(name: str, activation: str) -> None:
    model = build(name, 1, 28, 4, activation=activation)
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 4)


@pytest.mark.parametrize("init", list(INITIALIZERS))
def test_initializers_have_their_variance(init: str) -> None:
    model = build("lecture-mnist", 1, 28, 10, init=init)
    weight = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)][1].weight
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    variance = {"xavier": 2 / (fan_in + fan_out), "he": 2 / fan_in, "torch": 1 / (3 * fan_in)}[init]
    assert weight.var().item() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_the_smallest_image_of_a_unet_depends_on_its_depth(depth: int) -> None:
    side = 2**depth
    model = build_model("unet", ImageShape(1, side, side), 2, depth=depth, width=2).eval()
    assert model(torch.randn(2, 1, side, side)).shape == (2, 2, side, side)
    with pytest.raises(ModelError, match=f"unet needs images of at least {side}×{side} pixels"):
        build_model("unet", ImageShape(1, side - 1, side), 2, depth=depth, width=2)


def test_lecture_mnist_is_the_programming_task() -> None:
    """M48, layer by layer: the volumes behind the convolutions and the pool, and the order of the layers."""
    model = build("lecture-mnist", 1, 28, 10)
    x, shapes = torch.randn(1, 1, 28, 28), []
    layers = list(layers_of(model))
    for layer in layers:
        x = layer(x)
        shapes.append((type(layer).__name__, tuple(x.shape[1:])))
    assert shapes == [
        ("Conv2d", (64, 13, 13)),
        ("ReLU", (64, 13, 13)),
        ("Conv2d", (32, 13, 13)),
        ("ReLU", (32, 13, 13)),
        ("MaxPool2d", (32, 12, 12)),
        ("Dropout", (32, 12, 12)),
        ("FlattenLinear", (256,)),
        ("Tanh", (256,)),
        ("Dropout", (256,)),
        ("Linear", (10,)),
    ]
    assert [layers[5].p, layers[8].p] == [0.35, 0.5]


def test_the_linear_scores_of_the_lectures() -> None:
    """M02: W x + b = [-96.8, 437.9, 60.75]; the slide's 61.95 for ship lacks its bias."""
    model = build_model("linear", ImageShape(1, 2, 2), 3).double()
    rows = [[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0, 0.25, 0.2, -0.3]]
    model.load_state_dict(
        {"classifier.weight": torch.tensor(rows), "classifier.bias": torch.tensor([1.1, 3.2, -1.2])}
    )
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


@pytest.mark.parametrize(
    "name", [n for n in MODELS if "class" in MODELS.facts(n).targets and n not in FITTED]
)
def test_every_classifier_has_features_and_a_head(name: str) -> None:
    """The logits are what the head makes of the features; embeddings have one row per image."""
    facts = MODELS.facts(name)
    shape = facts.native if facts.native.height <= 64 else facts.native._replace(height=96, width=96)
    model = build_model(name, shape, 3)
    network = model[-1] if isinstance(model, Pipeline) else model
    if name == "pipeline":
        shape = ImageShape(model[0].out_features, 1, 1)
    network.eval()
    x = torch.rand(2, *shape)
    with torch.no_grad():
        logits = network(x)
        assert logits.shape == (2, 3)
        if name != "temporal":  # whose head is applied to every step
            torch.testing.assert_close(network.classifier(network.forward_features(x)), logits)
        assert network.embed(x).shape[0] == 2


@pytest.mark.parametrize("name", [n for n in MODELS if "class" not in MODELS.facts(n).targets])
def test_every_network_of_dense_outputs_has_an_encoder_and_a_head(name: str) -> None:
    """The head is the last layer that has weights; between the two is the decoder, if there is one."""
    network = build_model(name, MODELS.facts(name).native._replace(height=32, width=32), 3)
    parts = [part for part, _ in network.named_children() if part not in ("decoder", "pool")]
    assert parts == ["encoder", "head"]
    tensors = [key.partition(".")[0] for key in network.state_dict()]
    assert sorted(tensors, key=["encoder", "decoder", "head"].index) == tensors
    assert "decoder" in tensors or name == "fcn"


def test_names_that_other_libraries_use() -> None:
    for ours, theirs in {"vgg-a": "vgg11", "vgg-b": "vgg13", "vgg-d": "vgg16", "vgg-e": "vgg19"}.items():
        assert MODELS[theirs] is MODELS[ours] and theirs in MODELS
        assert MODELS.facts(theirs) is MODELS.facts(ours)
