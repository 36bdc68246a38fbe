from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import torch

from convnet.data import SplitOptions, TensorDataset, from_tensors
from convnet.data.splits.split_csv import split_table


def forty_images() -> TensorDataset:
    """Ten images of each of four classes; all differ."""
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 1, 4, 4).contiguous()
    return from_tensors("forty", images, torch.arange(40) % 4, "abcd", [f"{i}.png" for i in range(40)])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_image_is_in_one_fold_and_every_fold_has_all_classes(tmp_path: Path) -> None:
    table = rows(split_table(forty_images(), SplitOptions(), 4, tmp_path))
    assert [row["path"] for row in table] == [f"{i}.png" for i in range(40)]
    assert Counter(row["fold"] for row in table) == {"0": 10, "1": 10, "2": 10, "3": 10}
    for fold in "0123":
        assert {row["label"] for row in table if row["fold"] == fold} == set("abcd")


def test_a_split_has_the_given_shares(tmp_path: Path) -> None:
    table = rows(split_table(forty_images(), SplitOptions(val=0.2, test=0.1), None, tmp_path))
    assert Counter(row["split"] for row in table) == {"train": 28, "val": 8, "test": 4}
    assert {row["group"] for row in table} == {""}
