from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnet.data import MemorySource, SplitOptions, make_split, read_split, write_split
from convnet.errors import DataError, RecipeError


def source(targets: list[int], partition: list[str] | None = None) -> MemorySource:
    n, classes = len(targets), max(targets) + 1
    return MemorySource(
        "s",
        torch.zeros(n, 1, 2, 2, dtype=torch.uint8),
        torch.tensor(targets),
        tuple(f"class {i}" for i in range(classes)),
        [f"file, {i}" for i in range(n)],
        partition,  # type: ignore[arg-type]
    )


@given(st.lists(st.integers(0, 3), min_size=4, max_size=300), st.floats(0, 0.5), st.integers(0, 5))
def test_splits_are_disjoint_complete_stratified_and_repeatable(
    targets: list[int], share: float, seed: int
) -> None:
    data = source(targets)
    options = SplitOptions(val=share, test=share, seed=seed)
    if share and 1 in data.targets.bincount().tolist():
        with pytest.raises(DataError, match="has a single sample"):
            make_split(data, options)
        return
    split = make_split(data, options)
    together = torch.cat([split.train, split.val, split.test])
    assert sorted(together.tolist()) == list(range(len(data)))
    for label, count in enumerate(data.targets.bincount().tolist()):
        held = int((data.targets[split.test] == label).sum())
        assert abs(held - count * share) <= 1
        assert count == 0 or int((data.targets[split.train] == label).sum()) >= 1
    again = make_split(data, options)
    assert all(torch.equal(split[name], again[name]) for name in ("train", "val", "test"))
    stored = read_split(write_split(split, data), data)
    assert all(torch.equal(split[name], stored[name]) for name in ("train", "val", "test"))


def test_the_makers_test_split_is_never_trained_on() -> None:
    data = source([0, 1] * 50, ["train"] * 80 + ["test"] * 20)
    split = make_split(data, SplitOptions())
    assert split.test.tolist() == list(range(80, 100))
    assert len(split.val) == 8
    with pytest.raises(RecipeError, match=r"split\.test=0\.2 does not apply"):
        make_split(data, SplitOptions(test=0.2))


def test_a_folder_with_val_is_not_robbed_for_a_test_split() -> None:
    data = source([0, 1] * 50, ["train"] * 80 + ["val"] * 20)
    split = make_split(data, SplitOptions())
    assert (len(split.train), len(split.val), len(split.test)) == (80, 20, 0)


def test_changed_data_is_noticed() -> None:
    data = source([0, 1] * 10)
    text = write_split(make_split(data, SplitOptions()), data)
    with pytest.raises(DataError, match="has changed since the run began"):
        read_split(text, source([0, 1] * 11))
