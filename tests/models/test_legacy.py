from __future__ import annotations

import torch

from convnet.models.legacy import with_current_names

OLD = {name: torch.tensor(float(i)) for i, name in enumerate(["0.weight", "0.bias", "2.weight", "10.weight"])}


def test_tensors_are_renamed_in_the_order_of_the_layers() -> None:
    names = ["features.0.weight", "features.0.bias", "features.2.weight", "classifier.weight"]
    shuffled = {name: OLD[name] for name in ("10.weight", "2.weight", "0.weight", "0.bias")}
    renamed = with_current_names(shuffled, names)
    assert [renamed[name].item() for name in names] == [0, 1, 2, 3]


def test_another_number_of_tensors_is_left_alone() -> None:
    assert with_current_names(OLD, ["a.weight", "b.weight"]) is OLD
