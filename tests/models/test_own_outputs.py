"""Networks of the user's own whose outputs are not a plain tensor of logits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import convnet
from convnet.errors import ConvnetError
from tests.conftest import PHOTOS

NETWORKS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, answer):
        super().__init__()
        self.conv, self.dense, self.answer = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, classes), answer

    def forward(self, x):
        return self.answer(self, self.dense(self.conv(x).mean((2, 3))))

class Squeezed(Net):
    def forward(self, x):
        return self.dense(self.conv(x).mean((2, 3), keepdim=True).squeeze())

def plain(num_classes): return Net(num_classes, lambda net, y: y)
def pair(num_classes): return Net(num_classes, lambda net, y: (y, y) if net.training else y)
def named(num_classes): return Net(num_classes, lambda net, y: {"out": y, "aux": y})
def squeezed(num_classes): return Squeezed(num_classes, None)
def loss(num_classes): return Net(num_classes, lambda net, y: y.mean() if net.training else y)
def turned(num_classes): return Net(num_classes, lambda net, y: y.T)
def text(num_classes): return Net(num_classes, lambda net, y: "logits")
def many(num_classes): return Net(num_classes + 1, lambda net, y: y)
"""
OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 5, "preprocess.image_size": 8, "progress": False}


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ownnets.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ownnets", raising=False)


@pytest.mark.parametrize("name", ["plain", "pair", "named", "squeezed"])
def test_the_usual_forms_are_understood(tmp_path: Path, name: str) -> None:
    """In training (16 photos in batches of 5 leave a batch of one), evaluation, prediction and retrieval."""
    run = convnet.train(str(PHOTOS), model=f"ownnets:{name}", out=tmp_path / name, **OPTIONS)
    photo = PHOTOS / "flower" / "00.jpg"
    shares = run.predict(photo)[0].as_dict()["probabilities"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert len(run.evaluate(split="val")) == run.result["val"]["samples"]
    assert convnet.retrieve(run, photo, top=2).matches


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loss", "that is one number, perhaps a loss"),
        ("turned", "the axes of images and classes are exchanged"),
        ("text", "str"),
        ("many", r"must return \(3, 2\)"),
    ],
)
def test_others_are_named_before_training(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConvnetError, match=message):
        convnet.train(str(PHOTOS), model=f"ownnets:{name}", out=tmp_path / name, **OPTIONS)
    assert not (tmp_path / name).exists()
