from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest

from tests.conftest import Cli, refused, result_of


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_sample_is_predicted_once_by_a_network_that_has_not_seen_it(call: Cli, tmp_path: Path) -> None:
    command = ("train", "digits", "--model", "linear", "--folds", 3, "--epochs", 4, "--out", "cv", "--json")
    done = result_of(call(*command))
    rows = read(tmp_path / "cv" / "predictions.csv")
    assert [int(row["index"]) for row in rows] == list(range(1797))
    right = sum(row["class"] == row["predicted"] for row in rows) / len(rows)
    weighted = sum(fold["accuracy"] * fold["samples"] for fold in done["folds"]) / done["samples"]
    assert abs(right - weighted) < 1e-9 and right > 0.75
    for fold in range(3):
        split = read(tmp_path / "cv" / f"fold-{fold}" / "split.csv")
        tested = {row["index"] for row in split if row["split"] == "test"}
        assert tested == {row["index"] for row in rows if row["split"] == f"fold {fold}"}
    (tmp_path / "cv" / "folds.json").unlink()
    again = call(*command)
    assert result_of(again) == done and "epoch 1/" not in again.stderr  # not trained again
    assert "use --folds instead" in refused(
        call("train", "digits", "--folds", 3, "--set", "split.folds=3", "--set", "split.fold=0")
    )
    stored = json.loads((tmp_path / "cv" / "folds.json").read_text())["accuracy"]["std"]
    assert stored == pytest.approx(statistics.stdev(fold["accuracy"] for fold in done["folds"]))
