"""Networks that are looked into: numbers against tensors, edits, networks of all kinds."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import convnet
from convnet.errors import ConvnetError, ModelError
from convnet.models import MODELS
from convnet.studio.inspector import Edit, Inspection, RandomNetwork, edited
from convnet.studio.network_view import KINDS
from convnet.studio.tensors import MOST_MAPS, Picture, pack_pictures
from tests.studio.studio import StudioProcess

SMALL = [
    "alexnet", "convnetjs-cifar10", "convnetjs-mnist", "googlenet", "lecture-mnist", "lecture-picture",
    "lenet5", "linear", "mlp", "mobilenet-v2", "neocognitron", "perceptron", "resnet9", "resnet20",
    "small-convnet", "squeezenet1.1", "efficientnet-lite0",
]  # fmt: skip
"""Networks whose weights fit into the memory of a small machine."""


def unpacked(message: bytes) -> tuple[dict[str, Any], dict[tuple[str, str], np.ndarray[Any, Any]]]:
    """The header of a binary message, and its tensors."""
    (length,) = struct.unpack("<I", message[:4])
    header = json.loads(message[4 : 4 + length])
    values = np.frombuffer(message[4 + length :], "<f4")
    found = {}
    for tensor in header["tensors"]:
        size = int(np.prod(tensor["sent"]))
        part = values[tensor["start"] : tensor["start"] + size]
        found[tensor["layer"], tensor["kind"]] = part.reshape(tensor["sent"])
    return header, found


def inspection(name: str) -> Inspection:
    predictor = RandomNetwork(name).predictor
    pixels = torch.randint(0, 256, (1, *predictor.inputs.shape), generator=torch.Generator().manual_seed(1))
    return Inspection(predictor, pixels.to(torch.uint8))


@pytest.mark.parametrize("name", SMALL)
def test_every_kind_of_layer_is_computed_again(name: str) -> None:
    found = inspection(name)
    described = found.describe()
    names = [layer["name"] for layer in described["layers"]]
    assert names[0] == "input" and len(names) == len(set(names))
    kinds = {}
    for layer in described["layers"][1:]:
        kinds.setdefault(layer["kind"], layer)
        assert set(layer["inputs"]) <= set(names)
    for kind, layer in kinds.items():
        position = [side // 2 for side in layer["shape"]]
        unit = found.unit(layer["name"], position)
        stored = float(found.found[layer["name"]].output[(0, *position)])
        assert unit["sum"] == stored
        assert unit["sum_of_products"] == pytest.approx(stored, rel=1e-3, abs=1e-4), kind
        assert "has no arithmetic" not in unit["formula"], kind
        json.dumps(unit, allow_nan=False)


def test_the_tensors_are_those_of_the_network() -> None:
    found = inspection("lenet5")
    header, sent = unpacked(found.tensors([("features.0", kind) for kind in KINDS[:3]]))
    op = found.found["features.0"]
    assert np.array_equal(sent["features.0", "activation"], op.output[0].numpy())
    assert op.gradient is not None
    assert np.array_equal(sent["features.0", "activation-gradient"], op.gradient[0].numpy())
    weight = found.network.get_submodule("features.0").weight
    assert isinstance(weight, Tensor)
    assert np.array_equal(sent["features.0", "weight"], weight.detach().numpy())
    first = header["tensors"][0]
    assert (first["min"], first["max"]) == (float(op.output.min()), float(op.output.max()))


def test_a_weight_that_is_changed_by_hand_changes_the_answer() -> None:
    found = inspection("lenet5")
    last = "classifier.2.weight"
    model = found.predictor.model
    other = Inspection(found.predictor, found.pixels, edited(model, [Edit(last, (3, 0), 100.0)]))
    assert not torch.equal(found.logits[0, 3], other.logits[0, 3])
    assert torch.equal(found.logits[0, :3], other.logits[0, :3])
    again = Inspection(found.predictor, found.pixels)
    assert torch.equal(again.logits, found.logits)  # the network itself is unchanged
    for name, place in (("nothing", (0,)), (last, (10, 0)), ("features.0.weight", (0,))):
        with pytest.raises(ModelError):
            edited(model, [Edit(name, place, 1.0)])


def test_large_layers_are_sent_in_part() -> None:
    values = torch.arange(300 * 4 * 4).float().view(300, 4, 4)
    header, sent = unpacked(pack_pictures({"a": 1}, [Picture("x", "activation", values)]))
    (tensor,) = header["tensors"]
    assert (tensor["shape"], tensor["sent"], header["a"]) == ([300, 4, 4], [MOST_MAPS, 4, 4], 1)
    assert tensor["max"] == float(values.max())
    assert np.array_equal(sent["x", "activation"], values[:MOST_MAPS].numpy())
    header, _ = unpacked(pack_pictures({}, [Picture("x", "weight", torch.full((2, 2), torch.nan))]))
    assert header["tensors"][0]["min"] is None


@pytest.mark.parametrize("name", ["knn", "temporal", "nothing", "majority"])
def test_networks_that_are_not_shown_say_why(name: str) -> None:
    with pytest.raises(ConvnetError):
        _ = RandomNetwork(name).predictor


class OwnNet(nn.Module):
    """A user's own module."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, stride=2, padding=1, dilation=2, groups=1)
        self.head = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x))
        return self.head((y * 2 + y).mean((2, 3)))


def own_net(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    return OwnNet(in_channels, num_classes)


def test_a_users_own_module(tmp_path: Path) -> None:
    run = convnet.train("digits", model=own_net, epochs=1, out=tmp_path / "run", progress=False)
    found = Inspection(run.predictor, torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    layers = {layer["name"]: layer for layer in found.describe()["layers"]}
    assert layers["conv"]["weight"] == [6, 1, 3, 3]
    for name in layers.keys() - {"input"}:
        unit = found.unit(name, [0] * len(layers[name]["shape"]))
        assert unit["sum_of_products"] == pytest.approx(unit["sum"], rel=1e-3, abs=1e-4)


def test_an_image_is_inspected_over_http(studio: StudioProcess, tmp_path: Path) -> None:
    network = studio.get("/api/inspect/network?name=digits-run")
    assert (network["shape"], network["samples"]["test"]) == ([1, 8, 8], 179)
    answer = studio.request("GET", "/api/inspect/sample?name=digits-run&split=test&index=3")
    header, sent = unpacked(answer.body)
    pixels = sent["input", "image"].astype(np.uint8)
    opened = studio.request("POST", "/api/inspect?name=digits-run", pixels.tobytes()).json
    run = convnet.load_run(studio.folder / "runs" / "digits-run")
    (expected,) = run.predict(pixels[0])
    assert opened["prediction"]["class"] == expected.as_dict()["class"]
    assert header["label"] == "9" and header["location"].startswith("digits[")
    found = dict(opened["prediction"]["probabilities"])
    assert found == pytest.approx(expected.as_dict()["probabilities"], abs=1e-5)
    unit = studio.get(f"/api/inspect/{opened['id']}/unit?layer=features.0.conv&position=5,3,4")
    assert unit["sum_of_products"] == pytest.approx(unit["sum"], abs=1e-5)
    assert unit["fields"]["input"] == [2, 4, 3, 5]
    heat = studio.request(
        "POST",
        f"/api/inspect/{opened['id']}/heatmaps",
        b"{}",
        {**studio.headers, "Content-Type": "application/json"},
    )
    header, maps = unpacked(heat.body)
    assert maps["saliency", "heatmap"].shape == (1, 8, 8) and "deletion" in header["trust"]["saliency"]
    image = tmp_path / "x.png"
    Image.fromarray(pixels[0]).save(image)
    decoded = studio.request("POST", "/api/inspect/decode?name=digits-run", image.read_bytes())
    assert np.array_equal(unpacked(decoded.body)[1]["input", "image"], pixels)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/inspect?name=digits-run", b"123"),
        ("POST", "/api/inspect?name=digits-run&edits=[[1]]", bytes(64)),
        ("POST", "/api/inspect?name=digits-run&edits=[[%22x%22,[0],NaN]]", bytes(64)),
        ("POST", "/api/inspect?name=nothing", bytes(64)),
        ("POST", "/api/inspect/decode?name=digits-run", b"no image"),
        ("GET", "/api/inspect/sample?name=digits-run&split=test&index=500", None),
        ("GET", "/api/inspect/sample?name=digits-run&split=other&index=0", None),
        ("GET", "/api/inspect/99999/unit?layer=x&position=0", None),
        ("GET", "/api/inspect/network?name=knn", None),
    ],
)
def test_requests_that_make_no_sense_get_a_message(
    studio: StudioProcess, method: str, path: str, body: bytes | None
) -> None:
    answer = studio.request(method, path, body)
    assert answer.status == 422 and answer.error


def test_all_named_networks_are_offered_or_refused(studio: StudioProcess) -> None:
    offered = studio.get("/api/inspect/networks")
    assert "digits-run" in offered["runs"]
    assert {"lenet5", "resnet20", "vgg-d", "efficientnet-lite0 (ImageNet)"} <= set(offered["zoo"])
    assert not {"knn", "majority"} & set(offered["zoo"]) and set(SMALL) <= {*MODELS}
