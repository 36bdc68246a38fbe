from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnet.data import SplitOptions, TensorDataset, from_tensors, make_split, read_split, write_split
from convnet.data.splits.split_file import split_rows
from convnet.errors import DataError, RecipeError


def dataset(targets: list[int], given_split: list[str] | None = None) -> TensorDataset:
    n, classes = len(targets), max(targets) + 1
    return from_tensors(
        "s",
        torch.zeros(n, 1, 2, 2, dtype=torch.uint8),
        torch.tensor(targets),
        tuple(f"class {i}" for i in range(classes)),
        [f"file, {i}" for i in range(n)],
        given_split,  # type: ignore[arg-type]
    )


@given(st.lists(st.integers(0, 3), min_size=4, max_size=300), st.floats(0, 0.5), st.integers(0, 5))
def test_splits_are_disjoint_complete_stratified_and_repeatable(
    targets: list[int], share: float, seed: int
) -> None:
    data = dataset(targets)
    options = SplitOptions(val=share, test=share, seed=seed)
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
    data = dataset([0, 1] * 50, ["train"] * 80 + ["test"] * 20)
    split = make_split(data, SplitOptions())
    assert split.test.tolist() == list(range(80, 100))
    assert len(split.val) == 8
    with pytest.raises(RecipeError, match=r"split\.test=0\.2 does not apply"):
        make_split(data, SplitOptions(test=0.2))


def test_a_folder_with_val_is_not_robbed_for_a_test_split() -> None:
    data = dataset([0, 1] * 50, ["train"] * 80 + ["val"] * 20)
    split = make_split(data, SplitOptions())
    assert (len(split.train), len(split.val), len(split.test)) == (80, 20, 0)


def test_changed_data_is_noticed() -> None:
    data = dataset([0, 1] * 10)
    text = write_split(make_split(data, SplitOptions()), data)
    with pytest.raises(DataError, match=r"differs from the data in split\.csv"):
        read_split(text, dataset([0, 1] * 11))


def known(data: TensorDataset, **facts: object) -> TensorDataset:
    return replace(data, info=replace(data.info, **facts))  # type: ignore[arg-type]


def grouped(numbers: list[int], labels: list[int], **fields: object) -> TensorDataset:
    return known(dataset(labels), groups=torch.tensor(numbers), **fields)


@given(st.integers(0, 99))
def test_groups_and_copies_stay_on_one_side(seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    groups = torch.randperm(120, generator=draws) // 2
    copies = torch.randperm(120, generator=draws) % 100
    data = grouped(groups.tolist(), [0, 1, 2] * 40, duplicates=copies)
    split = make_split(data, SplitOptions(val=0.2, test=0.2))
    assert len(split.val) and len(split.test)
    for numbers in (groups, copies):
        train, val, test = (set(numbers[split[name]].tolist()) for name in ("train", "val", "test"))
        assert not (train & val or train & test or val & test)


def test_copies_of_what_is_held_out_are_not_trained_on() -> None:
    data = known(
        dataset([0, 1] * 4, ["train"] * 4 + ["val"] * 2 + ["test"] * 2),
        duplicates=torch.tensor([0, 1, 2, 3, 0, 4, 5, 4]),
    )
    split = make_split(data, SplitOptions())
    assert (split.train.tolist(), split.val.tolist(), split.test.tolist()) == ([1, 2, 3], [4], [6, 7])
    assert "unused" in write_split(split, data)


def test_a_group_that_the_data_tears_apart_is_refused() -> None:
    data = grouped([0, 1, 0, 2], [0, 1, 0, 1], given_split=["train", "train", "test", "test"])
    with pytest.raises(DataError, match="group of file, 0 is in train and in test"):
        make_split(data, SplitOptions())


@given(st.integers(2, 6), st.integers(0, 3))
def test_folds_cover_everything_once_and_are_stratified(folds: int, seed: int) -> None:
    labels = [0] * 40 + [1] * 25 + [2] * 11
    data = grouped([i // 2 for i in range(76)], labels)
    tested: list[int] = []
    for fold in range(folds):
        split = make_split(data, SplitOptions(folds=folds, fold=fold, seed=seed))
        assert sorted(split.train.tolist() + split.test.tolist()) == list(range(76))
        assert not len(split.val)
        counts = torch.bincount(data.targets[split.test], minlength=3) * folds
        assert (counts - torch.tensor([40, 25, 11])).abs().max() <= 4 * folds
        assert not {i // 2 for i in split.train.tolist()} & {i // 2 for i in split.test.tolist()}
        tested += split.test.tolist()
    assert sorted(tested) == list(range(76))


def test_a_large_group_does_not_keep_its_fold_from_the_other_classes() -> None:
    data = grouped([0] * 60 + list(range(1, 61)), [0] * 60 + [1] * 60)
    for fold in range(2):
        split = make_split(data, SplitOptions(folds=2, fold=fold))
        assert int((data.targets[split.test] == 1).sum()) == 30


def test_folds_leave_the_makers_test_split_alone() -> None:
    data = dataset([0, 1] * 20, ["train"] * 20 + ["val"] * 10 + ["test"] * 10)
    split = make_split(data, SplitOptions(folds=3, fold=0))
    assert not {*split.train.tolist(), *split.test.tolist()} & set(range(30, 40))
    with pytest.raises(RecipeError, match="exceeds the number of separate samples of s"):
        make_split(dataset([0, 1]), SplitOptions(folds=3, fold=0))


def test_a_split_that_no_group_allows_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"without dividing groups.*split.test=0"):
        make_split(grouped([1] * 20, [0, 1] * 10), SplitOptions())


def test_what_is_new_is_named() -> None:
    before, after = dataset([0, 1] * 10), dataset([0, 1] * 10)
    text = write_split(make_split(before, SplitOptions()), before).replace('"file, 3"', '"file, 99"')
    with pytest.raises(DataError, match=r"file, 99 \(class 1\) is no longer there"):
        read_split(text, after)


def test_small_classes_hold_out_their_share_together() -> None:
    data = dataset([k for k in range(60) for _ in range(5)])
    split = make_split(data, SplitOptions())
    assert (len(split.train), len(split.val), len(split.test)) == (243, 27, 30)
    assert [line.partition(":")[0] for line in split.remarks] == [
        "30 of 60 classes have too few samples for the test split",
        "33 of 60 classes have too few samples for the validation split",
    ]
    assert torch.bincount(data.targets[split.train]).min() >= 3


def test_the_only_sample_of_a_class_is_trained_on() -> None:
    data = dataset([0] * 20 + [1] * 20 + [2])
    for options in (SplitOptions(), SplitOptions(folds=3, fold=0), SplitOptions(folds=3, fold=2)):
        assert 40 in make_split(data, options).train.tolist()


def test_a_class_that_loses_all_its_training_samples_is_named() -> None:
    data = known(dataset([0] * 10 + [1] * 10), excluded=dict.fromkeys(range(10), "blank"))
    with pytest.raises(
        DataError, match=r"class 'class 0' has no training sample: .* are blank .*keep_blank=true"
    ):
        make_split(data, SplitOptions())
    assert len(make_split(data, SplitOptions(keep_blank=True)).train) == 16
    apart = dataset([0] * 10 + [1] * 10, ["train"] * 10 + ["test"] * 10)
    with pytest.raises(
        DataError, match=r"class 'class 1' has no training sample: of its 10 samples 10 are held out"
    ):
        make_split(apart, SplitOptions())


def test_near_copies_are_grouped_or_kept_and_thinning_is_said() -> None:
    near = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
    data = known(
        dataset([0, 1] * 5, ["train"] * 8 + ["test"] * 2), near_copies=near, duplicates=torch.arange(10)
    )
    grouped = make_split(data, SplitOptions(val=0))
    assert grouped.train.tolist() == [2, 3, 4, 5, 6, 7]
    assert grouped.remarks[0] == "copies are kept in one split"
    assert grouped.remarks[1].startswith("2 training samples are copies of held-out samples and are not used")
    kept = make_split(data, SplitOptions(val=0, near_copies="keep"))
    assert kept.train.tolist() == list(range(8))
    assert kept.remarks == ("near copies count as different samples",)


def test_shares_of_a_sample_and_a_half_are_rounded_together() -> None:
    """100 classes of five: 150 and not 200 test samples at 30%."""
    split = make_split(dataset([k for k in range(100) for _ in range(5)]), SplitOptions(test=0.3, val=0.05))
    assert len(split.test) == 150 and abs(len(split.val) - 0.05 * 350) < 1


@pytest.mark.parametrize("folds", [11, 10**9])
def test_more_folds_than_samples(folds: int) -> None:
    with pytest.raises(RecipeError, match=f"split.folds={folds} exceeds the number of separate samples"):
        make_split(dataset([0, 1] * 5), SplitOptions(folds=folds, fold=0))


def test_classes_that_no_fold_tests_are_said() -> None:
    split = make_split(dataset([0] * 9 + [1] * 9 + [2]), SplitOptions(folds=3, fold=0))
    assert split.remarks == ("1 of 3 classes have a single sample, which no fold tests: class 2",)


def test_why_nothing_is_left_for_training() -> None:
    held = known(dataset([0, 1] * 6, ["train"] * 6 + ["test"] * 6), duplicates=torch.arange(12) % 6)
    with pytest.raises(
        DataError, match=r"of its 12 samples 6 are held out, 6 are copies of held-out samples. Add"
    ):
        make_split(held, SplitOptions())
    blank = replace(
        dataset([0, 1] * 6),
        info=replace(dataset([0, 1] * 6).info, excluded=dict.fromkeys(range(12), "blank")),
    )
    with pytest.raises(
        DataError, match=r"12 samples 2 are held out, 10 are blank .--set split.keep_blank=true"
    ):
        make_split(blank, SplitOptions(val=0, test=0.2))
    near = known(
        dataset([0] * 6 + [1] * 4, ["train"] * 3 + ["test"] * 3 + ["train"] * 4),
        duplicates=torch.arange(10),
        near_copies=torch.tensor([0, 1, 2, 0, 1, 2, 6, 7, 8, 9]),
    )
    with pytest.raises(
        DataError, match=r"3 are held out, 3 are near copies .*split.near_copies=keep uses them"
    ):
        make_split(near, SplitOptions())
    assert len(make_split(near, SplitOptions(near_copies="keep")).train)


def test_a_stored_split_with_an_unknown_name_is_named_by_its_row() -> None:
    text = "index,split,class,sample\n0,train,a,x\n1,middle,a,y\n"
    with pytest.raises(DataError, match="row 1 is in 'middle'"):
        split_rows(text)
