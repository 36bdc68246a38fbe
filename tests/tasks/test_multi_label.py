from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from convnet.tasks.multi_label import MultiLabelResult
from tests.conftest import Cli, refused, result_of


def labeled(n: int = 200) -> MultiLabelResult:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand((n, 3), generator=generator) < torch.tensor([0.5, 0.2, 0.05])).float()
    noise = torch.rand((n, 3), generator=generator)
    logits = (0.3 * targets + 0.7 * noise).logit(1e-6)
    halves = torch.full((3,), 0.5)
    return MultiLabelResult(0.5, logits, targets, torch.arange(n), ("a", "b", "c"), halves)


def test_thresholds_are_those_of_the_best_f1() -> None:
    found = labeled()
    tuned = found.with_thresholds(found.tune_thresholds())
    for k, name in enumerate(found.classes):
        truth, shares = found.targets[:, k].numpy(), found.probabilities[:, k].numpy()
        best = max(f1_score(truth, shares >= t) for t in shares)
        assert tuned.scores()["label_f1"][name] == pytest.approx(best)
    assert found.with_thresholds({}) is found


def test_f1_is_that_of_scikit_learn() -> None:
    found = labeled()
    said = (found.probabilities >= 0.5).numpy()
    assert found.score == pytest.approx(f1_score(found.targets.numpy(), said, average="micro"))
    assert found.scores()["macro_f1"] == pytest.approx(f1_score(found.targets.numpy(), said, average="macro"))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Up to four digits side by side; the labels say which of the first three there are."""
    digits, generator = load_digits(), np.random.default_rng(0)
    rows = [["path", "labels"]]
    (tmp_path / "img").mkdir()
    for i in range(400):
        chosen = generator.integers(0, len(digits.images), 3)
        scene = np.concatenate(digits.images[chosen] * 255 / 16, 1).astype(np.uint8)
        Image.fromarray(scene).save(tmp_path / f"img/{i}.png")
        rows.append([f"img/{i}.png", "|".join(sorted({str(d) for d in digits.target[chosen] if d < 4}))])
    with (tmp_path / "scenes.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "scenes.csv"


def test_a_table_of_several_labels_from_the_command_line(scenes: Path, call: Cli, tmp_path: Path) -> None:
    done = result_of(
        call(
            "train",
            scenes,
            "--task",
            "multi-label",
            "--balance",
            "weights",
            "--epochs",
            6,
            "--out",
            "r",
            "--json",
        )
    )
    assert done["test"]["map"] > 0.6
    assert set(done["thresholds"]) == {"0", "1", "2", "3"}
    found = result_of(call("predict", "r", scenes.parent / "img" / "3.png", "--json"))[0]
    assert set(found["labels"]) == {
        k for k, p in found["probabilities"].items() if p >= done["thresholds"][k]
    }
    assert "average precision" in call("evaluate", "r").stdout.replace("_", " ")
    assert "mean average precision" in (tmp_path / "r" / "report.html").read_text()
    assert json.loads((tmp_path / "r" / "data.json").read_text())["per_class"][0] > 50
    assert "--task multi-label" in refused(call("train", scenes))


def test_other_data_with_fewer_labels_is_judged_by_the_same(scenes: Path, call: Cli, tmp_path: Path) -> None:
    result_of(call("train", scenes, "--task", "multi-label", "--epochs", 1, "--out", "r", "--json"))
    rows = list(csv.DictReader(scenes.read_text().splitlines()))
    kept = [row for row in rows if set(row["labels"].split("|")) <= {"1", "2"}]
    with (tmp_path / "few.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "labels"])
        writer.writeheader()
        writer.writerows(kept)
    found = result_of(call("evaluate", "r", "few.csv", "--json"))
    assert found["samples"] == len(kept)
    assert set(found["label_f1"]) == {"0", "1", "2", "3"}
    assert found["share"]["0"] == 0 < found["share"]["1"]


def test_images_without_any_label_are_refused(scenes: Path, call: Cli) -> None:
    text = "path,labels\n" + "".join(f"img/{i}.png,\n" for i in range(20))
    scenes.write_text(text)
    assert "none of its samples has a label" in refused(call("train", scenes, "--task", "multi-label"))
