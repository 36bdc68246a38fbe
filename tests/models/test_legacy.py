from __future__ import annotations

import re

import pytest
import torch

from convnet.models import build_model
from convnet.models.backbone import named_layers
from convnet.models.legacy import with_current_names
from convnet.types import ImageShape

OLD = {name: torch.tensor(float(i)) for i, name in enumerate(["0.weight", "0.bias", "2.weight", "10.weight"])}


def test_tensors_are_renamed_in_the_order_of_the_layers() -> None:
    names = ["features.0.weight", "features.0.bias", "features.2.weight", "classifier.weight"]
    shuffled = {name: OLD[name] for name in ("10.weight", "2.weight", "0.weight", "0.bias")}
    renamed = with_current_names(shuffled, names)
    assert [renamed[name].item() for name in names] == [0, 1, 2, 3]


def test_another_number_of_tensors_is_left_alone() -> None:
    assert with_current_names(OLD, ["a.weight", "b.weight"]) is OLD


@pytest.mark.parametrize("name", ["dense-autoencoder", "conv-autoencoder"])
def test_autoencoders_written_when_the_head_was_part_of_the_decoder(name: str) -> None:
    network = build_model(name, ImageShape(1, 8, 8), 1)
    names = list(network.state_dict())
    last = f"decoder.{len(network.decoder)}."
    earlier = {re.sub(r"^head\.(0\.)?", last, key): value for key, value in network.state_dict().items()}
    assert set(earlier) != set(names)
    renamed = with_current_names(earlier, names)
    assert all(renamed[key] is earlier[re.sub(r"^head\.(0\.)?", last, key)] for key in names)


@pytest.mark.parametrize("encoder", ["resnet20", "resnet18"])
def test_fully_convolutional_networks_written_when_layers_had_numbers(encoder: str) -> None:
    """Blocks had the names of their own layers, `bn1` after `conv1`; files list tensors alphabetically."""
    fcn = build_model("fcn", ImageShape(3, 32, 32), 4, encoder=encoder)
    state = fcn.state_dict()
    layers = [name for name, _ in named_layers(fcn.encoder)]
    earlier = {}
    for key, value in state.items():
        name = key.removeprefix("encoder.")
        place = next((i for i, layer in enumerate(layers) if name.startswith(f"{layer}.")), None)
        inner = "" if place is None else name.removeprefix(layers[place])
        earlier[key if place is None else f"encoder.{place}{inner}"] = value
    assert any(re.fullmatch(r"encoder\.\d\.conv1\.weight", key) for key in earlier)
    renamed = with_current_names(dict(sorted(earlier.items())), list(state))
    assert all(renamed[key] is value for key, value in state.items())
