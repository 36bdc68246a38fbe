"""Objects of users in place of names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import convnet
from convnet.errors import ConvnetError, RecipeError, UnknownNameError

MODULE = """
from dataclasses import replace
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, *, width: int = 8):
        super().__init__()
        layers = nn.Linear(64 * in_channels, width), nn.Tanh(), nn.Linear(width, num_classes)
        self.net = nn.Sequential(nn.Flatten(), *layers)
    def forward(self, x): return self.net(x)

class Smooth(nn.Module):
    def __init__(self, *, factor: float = 0.1):
        super().__init__()
        self.factor = factor
    def forward(self, outputs, targets): return F.cross_entropy(outputs, targets, label_smoothing=self.factor)

def loss(outputs, targets): return 2 * F.cross_entropy(outputs, targets)
def per_sample(outputs, targets): return F.cross_entropy(outputs, targets, reduction="none")
def wrong(outputs, targets): return outputs @ targets
def top2(outputs, targets): return (outputs.topk(2).indices == targets[:, None]).any(1).float().mean()
def names(outputs, targets): return "good"
def white(batch): return replace(batch, images=torch.full_like(batch.images, 255.0))
def shaken(batch): return replace(batch, images=batch.images + torch.randn_like(batch.images))
def fewer(batch): return replace(batch, images=batch.images[:1])
def sgd(parameters): return torch.optim.SGD(parameters, lr=0.05)
def nothing(parameters): return None
"""
QUICK: dict[str, Any] = {"epochs": 1, "progress": False, "precision": "fp32"}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "minemod.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "minemod", raising=False)
    import minemod

    return minemod


def test_objects_of_a_module_are_recorded_and_found_again(mine: Any, tmp_path: Path) -> None:
    options = {
        "model": {"name": mine.Net, "width": 4},
        "metrics": {"top2": mine.top2},
        "augment": mine.shaken,
    }
    run = convnet.train(
        "digits", loss=mine.loss, optimizer=mine.sgd, out=tmp_path / "run", **options, **QUICK
    )
    recipe = run.recipe
    assert recipe.model.name == "minemod:Net" and recipe.model.options == {"width": 4}
    assert (recipe.loss.name, recipe.optimizer.name) == ("minemod:loss", "minemod:sgd")
    assert recipe.metrics == {"top2": "minemod:top2"} and recipe.augment.custom == "minemod:shaken"
    found = run.evaluate(split="val")
    expected = float(mine.top2(found.logits, found.targets))
    assert run.result["val"]["top2"] == run.metrics[-1]["val_top2"] == pytest.approx(expected)
    assert found.loss == pytest.approx(2 * float(nn.functional.cross_entropy(found.logits, found.targets)))
    code = (
        f"import convnet; print(convnet.load_run({str(run.path)!r}).evaluate(split='val').scores()['top2'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert float(done.stdout) == pytest.approx(expected), done.stderr
    assert "top2" in (run.path / "report.html").read_text()


def test_the_same_seed_gives_the_same_weights(mine: Any, tmp_path: Path) -> None:
    for name in "ab":
        convnet.train("digits", model=mine.Net, augment=mine.shaken, out=tmp_path / name, **QUICK)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_augmentation_is_applied(mine: Any, tmp_path: Path) -> None:
    """With white images in training, nothing can be learned."""
    plain, blind = (
        convnet.train(
            "digits", model="linear", augment=augment, out=tmp_path / name, **{**QUICK, "epochs": 3}
        )
        for name, augment in (("plain", "none"), ("blind", mine.white))
    )
    assert plain.result["test"]["accuracy"] > 0.7 and blind.metrics[-1]["train_accuracy"] < 0.2


def test_objects_of_this_process(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = network[1].weight.detach().clone()
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = {"name": torch.optim.SGD, "lr": 0.1, "momentum": 0.5}
    run = convnet.train(
        "digits", model=network, loss=loss, optimizer=optimizer, out=tmp_path / "run", **QUICK
    )
    assert torch.equal(network[1].weight, before), "a copy is trained"
    assert not torch.equal(run.model[-1][1].weight, before)
    assert run.recipe.optimizer.options == {"lr": 0.1, "momentum": 0.5}
    assert len(run.predict(convnet.open_data("digits").images[:3, 0].numpy()[:, :, :, None])) == 3
    code = f"import convnet; convnet.load_run({str(run.path)!r}).model"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "was an object of a script or notebook and cannot be imported" in done.stderr


def test_two_lambdas_are_two_losses(tmp_path: Path) -> None:
    losses = [
        lambda o, t: nn.functional.cross_entropy(o, t),
        lambda o, t: 3 * nn.functional.cross_entropy(o, t),
    ]
    done = convnet.compare("digits", {"loss": losses}, model="linear", out=tmp_path / "c", **QUICK)
    first, second = (run[0].result["val"]["loss"] for run in done.runs.values())
    assert second == pytest.approx(3 * first, rel=0.2)


def test_a_class_of_losses_takes_options(mine: Any, tmp_path: Path) -> None:
    run = convnet.train(
        "digits", model="linear", loss={"name": mine.Smooth, "factor": 0.3}, out=tmp_path / "run", **QUICK
    )
    found = run.evaluate(split="val")
    assert found.loss == pytest.approx(
        float(nn.functional.cross_entropy(found.logits, found.targets, label_smoothing=0.3)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "per_sample"}, r"loss 'per_sample' returned a tensor \(32,\); return the mean"),
        ({"loss": "wrong"}, "loss 'wrong' failed for outputs"),
        ({"metrics": {"m": "wrong"}}, "metric 'm' failed for outputs"),
        ({"metrics": {"m": "names"}}, "metric 'm' failed"),
        ({"metrics": {"accuracy": "top2"}}, "'accuracy' is taken"),
        ({"augment": "fewer"}, r"augmentation 'minemod:fewer' made images \(1, 1, 8, 8\)"),
        ({"augment": "wrong"}, "augmentation 'minemod:wrong' failed: TypeError"),
        ({"optimizer": "nothing"}, "optimizer 'nothing' returned NoneType"),
        ({"optimizer": "wrong"}, "optimizer 'wrong' failed to build: TypeError"),
    ],
)
def test_objects_that_fail_are_named(mine: Any, tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    def found(value: Any) -> Any:
        return {k: found(v) for k, v in value.items()} if isinstance(value, dict) else getattr(mine, value)

    with pytest.raises(ConvnetError, match=message):
        convnet.train("digits", model="linear", out=tmp_path / "run", **found(fields), **QUICK)
    assert not (tmp_path / "run").exists()


def test_what_does_not_apply(mine: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="apply to classification and multi-label only"):
        convnet.train("digit-scenes", metrics={"m": mine.top2}, out=tmp_path / "run", **QUICK)
    with pytest.raises(UnknownNameError, match="cannot be imported: ModuleNotFoundError"):
        convnet.train("digits", loss="nomod:loss", **QUICK)
    with pytest.raises(RecipeError, match="expected a name, or a name and options, got 3"):
        convnet.train("digits", loss=3, **QUICK)


def lazy(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(num_classes))


def test_lazy_layers_get_their_sizes_from_the_images(tmp_path: Path) -> None:
    run = convnet.train("digits", model=lazy, out=tmp_path / "run", **QUICK)
    assert run.evaluate().accuracy == run.result["test"]["accuracy"]
    assert sum(p.numel() for p in run.model[1:].parameters()) == 4 * 10 + 8 + 10 * (4 * 36 + 1)


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, targets: (outputs.argmax(1) != targets).float().mean(),
        lambda outputs, targets: nn.functional.cross_entropy(outputs, targets).detach(),
    ],
)
def test_a_loss_without_a_gradient_is_refused(tmp_path: Path, loss: Any) -> None:
    with pytest.raises(RecipeError, match="the loss has no gradient; compute it from the outputs without"):
        convnet.train("digits", model="linear", loss=loss, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_an_optimizer_with_a_closure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="optimizer 'LBFGS' computes the loss itself"):
        convnet.train("digits", model="linear", optimizer=torch.optim.LBFGS, out=tmp_path / "run", **QUICK)


def test_a_metric_that_is_not_a_number_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = {"share": lambda outputs, targets: float("nan"), "size": lambda outputs, targets: len(targets)}
    run = convnet.train("digits", model="linear", metrics=metrics, out=tmp_path / "run", **QUICK)
    assert run.result["test"]["size"] == 179 and "share" not in run.result["test"]
    assert "metric 'share' is nan for 179 samples and is left out" in caplog.text
