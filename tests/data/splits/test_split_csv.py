from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from convnet.data import SplitOptions, TensorDataset, from_tensors
from convnet.data.splits.split_csv import split_table
from tests.conftest import Cli, refused


def forty_images() -> TensorDataset:
    """Ten images of each of four classes; all differ."""
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 1, 4, 4).contiguous()
    return from_tensors("forty", images, torch.arange(40) % 4, "abcd", [f"{i}.png" for i in range(40)])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_image_is_in_one_fold_and_every_fold_has_all_classes(tmp_path: Path) -> None:
    table = rows(split_table(forty_images(), SplitOptions(), 4, tmp_path)[0])
    assert [row["path"] for row in table] == [f"{i}.png" for i in range(40)]
    assert Counter(row["fold"] for row in table) == {"0": 10, "1": 10, "2": 10, "3": 10}
    for fold in "0123":
        assert {row["label"] for row in table if row["fold"] == fold} == set("abcd")


def test_a_split_has_the_given_shares(tmp_path: Path) -> None:
    table = rows(split_table(forty_images(), SplitOptions(val=0.2, test=0.1), None, tmp_path)[0])
    assert Counter(row["split"] for row in table) == {"train": 29, "val": 7, "test": 4}
    assert {row["group"] for row in table} == {""}


def test_the_command_says_what_it_cannot_hold_out_and_takes_the_settings_of_a_split(
    call: Cli, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            noise = np.random.default_rng([i, ord(name)]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / name / f"{i}.png")
    done = call("data", "split", "data", "--out", "s.csv")
    assert "2 of 2 classes have too few samples for the test split: a, b" in done.stderr
    held = call("data", "split", "data", "--set", "split.test=0.5", "--set", "split.near_copies=keep")
    assert sum(line.split(",")[2] == "test" for line in held.stdout.splitlines()) == 2
    assert "is set to 0.5 and to 0.1" in refused(
        call("data", "split", "data", "--set", "split.test=0.5", "--test", "0.1")
    )
