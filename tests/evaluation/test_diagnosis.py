"""The diagnosis of training runs: broken ones are named in words, healthy ones have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torch import nn

import convnet
from convnet.evaluation.diagnosis import diagnose
from convnet.evaluation.training_facts import TrainingFacts, chance_loss
from convnet.evaluation.variant import Variant, diagnose_lead
from convnet.explain.health import LayerHealth

EIGHT = 8


def digits() -> tuple[np.ndarray, np.ndarray]:
    loaded = load_digits()
    return (loaded.images * 16).clip(0, 255).astype(np.uint8)[..., None], loaded.target.astype(np.int64)


def small(change: Callable[[nn.Module], None]) -> Callable[..., nn.Module]:
    """A factory of a small network whose weights are changed."""

    def build(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        model = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, num_classes),
        )  # fmt: skip
        change(model)
        return model

    return build


def _zero(model: nn.Module) -> None:
    for parameter in model.parameters():
        nn.init.zeros_(parameter)


def _dead(model: nn.Module) -> None:
    nn.init.constant_(model[3].bias, -50.0)


def _splits(folder: Path, train: np.ndarray, val: np.ndarray, test: np.ndarray) -> str:
    x, y = digits()
    parts = {"train": train, "val": val, "test": test}
    arrays = {f"x_{name}": x[rows] for name, rows in parts.items()}
    np.savez(folder / "data.npz", **arrays, **{f"y_{name}": y[rows] for name, rows in parts.items()})
    return str(folder / "data.npz")


def _eight(folder: Path) -> str:
    y = digits()[1]
    first = np.array([np.flatnonzero(y == k)[0] for k in range(EIGHT)])
    others = np.setdiff1d(np.flatnonzero(y < EIGHT), first)
    return _splits(folder, first, others[:400], others[400:800])


def _copied(folder: Path) -> str:
    return _splits(folder, np.arange(600), np.arange(300), np.arange(600, 1000))


def _digits(_folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return digits()


def _shuffled(_folder: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = digits()
    return x, np.random.default_rng(0).permutation(y)


def _noisy(_folder: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = digits()
    generator = np.random.default_rng(1)
    wrong = generator.choice(len(y), len(y) // 10, replace=False)
    y[wrong] = (y[wrong] + generator.integers(1, 10, len(wrong))) % 10
    return x, y


HIGH = {"name": "momentum", "lr": 10}
BROKEN: dict[str, tuple[Callable[[Path], Any], dict[str, Any], set[str]]] = {
    "rate 10": (lambda _: "digits", {"optimizer": HIGH}, {"learning_rate_too_high"}),
    "zero weights": (_digits, {"model": small(_zero)}, {"loss_at_chance", "vanishing_gradients"}),
    "shuffled labels": (_shuffled, {}, {"loss_at_chance"}),
    "no normalization": (_digits, {"preprocess": {"normalize": "none"}}, {"inputs_not_normalized"}),
    "dead ReLUs": (_digits, {"model": small(_dead)}, {"dead_relus", "vanishing_gradients"}),
    "eight images": (_eight, {"epochs": 30}, {"overfitting", "few_training_samples"}),
    "noisy labels": (_noisy, {"epochs": 20}, {"label_noise"}),
    "copied validation": (_copied, {}, {"validation_copies_training"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_diagnosed(name: str, tmp_path: Path) -> None:
    make, options, kinds = BROKEN[name]
    run = convnet.train(make(tmp_path), out=tmp_path / "run", progress=False, **{"epochs": 6, **options})
    found = {finding["kind"]: finding for finding in run.result["diagnosis"]}
    assert kinds <= found.keys()
    for finding in found.values():
        assert isinstance(finding["value"], float) and any(map(str.isdigit, finding["text"]))
    assert found[min(kinds)]["text"].split(":")[0] in (run.path / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model": small(lambda model: None), "epochs": 12},
        {"model": "mlp"},
        {"model": "linear", "epochs": 20},
        {"data": "tumours"},
    ],
    ids=lambda options: str(options.get("data") or options.get("model", "default")).split(" ")[0],
)
def test_a_healthy_run_has_no_diagnosis(options: dict[str, Any], tmp_path: Path) -> None:
    data = options.get("data", "digits")
    others = {key: value for key, value in options.items() if key != "data"}
    run = convnet.train(data, out=tmp_path / "run", progress=False, **others)
    assert run.result["diagnosis"] == []


HEALTHY = TrainingFacts(
    epochs=[
        {"train_loss": loss, "val_loss": loss + 0.05, "val_accuracy": accuracy}
        for loss, accuracy in ((1.2, 0.7), (0.6, 0.85), (0.3, 0.9), (0.2, 0.91), (0.18, 0.92), (0.17, 0.92))
    ],
    steps=[2.3, 2.0, 1.5, 1.0, 0.5] * 4,
    classes=("a", "b"),
    chance=0.69 * 3,
    per_class=(500, 400),
    recall=(0.92, 0.92),
    train=0.94,
    val=0.92,
    val_samples=1000,
    layers=[LayerHealth("conv", gradient=1e-3), LayerHealth("relu", dead=0.1)],
    input_scale=(0.0, 1.0),
    brightness=(100.0, 104.0, 30.0),
    sizes=(300.0, 320.0),
)
RISING = [{"train_loss": 1 - i / 20, "val_loss": 1.0, "val_accuracy": 0.4 + i / 20} for i in range(8)]
FLAT = [{"train_loss": 2.0 - i / 100, "val_loss": 2.0, "val_accuracy": 0.3} for i in range(5)]
LEVEL = [{"train_loss": x, "val_loss": x, "val_accuracy": 0.4} for x in (2.5, 1.6, 1.35, 1.34, 1.33, 1.34)]
ROSE = [{"train_loss": x, "val_loss": x, "val_accuracy": 0.4} for x in (1.7, 3.2, 2.9, 2.0, 1.6, 1.5)]
KINDS = {
    "too small a network": "underfitting",
    "a rate that was too high": "learning_rate_too_high",
}
CHANGED: dict[str, dict[str, Any]] = {
    "overfitting": {"train": 0.99, "val": 0.7},
    "underfitting": {"epochs": RISING, "train": 0.76, "val": 0.75},
    "learning_rate_too_high": {"epochs": [{"train_loss": 2.07}] * 3, "steps": [9.0] * 20},
    "learning_rate_too_low": {"epochs": FLAT, "train": 0.3, "val": 0.3},
    "too small a network": {"epochs": LEVEL, "train": 0.4, "val": 0.42},
    "a rate that was too high": {"epochs": ROSE, "train": 0.4, "val": 0.4},
    "loss_at_chance": {"epochs": [{"train_loss": 2.07}] * 3, "train": 0.5, "val": 0.5},
    "dead_relus": {"layers": [LayerHealth("relu", dead=0.9)]},
    "vanishing_gradients": {"layers": [LayerHealth("conv1", gradient=1e-12)]},
    "exploding_gradients": {"layers": [LayerHealth("conv1", gradient=1e5)]},
    "imbalance_ignored": {"per_class": (1000, 20), "recall": (0.95, 0.1)},
    "few_training_samples": {"per_class": (500, 3)},
    "label_noise": {"sure_mistakes": 0.05},
    "brightness_shift": {"brightness": (100.0, 150.0, 30.0)},
    "size_shift": {"sizes": (100.0, 300.0)},
    "validation_copies_training": {"copies": 0.2},
    "validation_set_too_small": {"val_samples": 20},
    "inputs_not_normalized": {"input_scale": (120.0, 60.0)},
}


def test_healthy_facts_have_no_diagnosis() -> None:
    assert diagnose(HEALTHY) == []


@pytest.mark.parametrize("kind", CHANGED)
def test_each_diagnosis(kind: str) -> None:
    found = diagnose(replace(HEALTHY, **CHANGED[kind]))
    assert [finding.kind for finding in found] == [KINDS.get(kind, kind)]


def test_balancing_removes_the_diagnosis_of_imbalance() -> None:
    facts = replace(HEALTHY, **CHANGED["imbalance_ignored"])
    assert diagnose(replace(facts, balanced=True)) == []


def test_the_loss_of_guessing() -> None:
    assert chance_loss([10] * 10) == pytest.approx(np.log(10))
    assert chance_loss([30, 10]) == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))


@pytest.mark.parametrize(
    ("best", "count", "score", "found"),
    [
        (0.90, 100, "accuracy", 1),
        (0.90, 100_000, "accuracy", 0),
        (0.89, 100, "accuracy", 0),
        (0.9, 9, "f1", 0),
    ],
)
def test_a_lead_within_chance_is_said(best: float, count: int, score: str, found: int) -> None:
    variants = [
        Variant(name, [{"val": {score: value, "samples": count}, "test": None}], [[]], {})
        for name, value in (("adam", best), ("sgd", 0.89))
    ]
    findings = diagnose_lead(variants, score)
    assert len(findings) == found
    for finding in findings:
        assert finding.kind == "validation_set_too_small" and finding.value == pytest.approx(best - 0.89)
        assert "adam leads sgd by 1.00 points; on 100 validation samples up to 8.50 points" in finding.text
