"""The same photos as a folder, a table, an archive, arrays and shards."""

from __future__ import annotations

import re
from pathlib import Path

import fsspec
import pytest
import torch

import convnet
from convnet.data import ImageDataset, Loader, Preprocess, open_data
from convnet.data.batches.samplers import BUFFER, by_shards
from convnet.errors import DataError
from tests.formats import FORMS

SIDE = 32


def trained(data: Path | str, out: Path) -> dict[str, float]:
    run = convnet.train(
        data,
        out=out,
        epochs=1,
        name="photos",
        preprocess={"image_size": SIDE},
        model="small-convnet",
        batch_size=32,
    )
    return run.result["val"]


@pytest.fixture(scope="module")
def from_a_folder(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return trained(flowers, tmp_path_factory.mktemp("folder") / "run")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains_to_the_same_result(
    form: str, flowers: Path, from_a_folder: dict[str, float], tmp_path: Path
) -> None:
    found = trained(FORMS[form](flowers, tmp_path, SIDE), tmp_path / "run")
    if form == "shards":  # in another order
        assert abs(found["accuracy"] - from_a_folder["accuracy"]) < 0.2
    else:
        assert found == from_a_folder


@pytest.fixture(scope="module")
def shards(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FORMS["shards"](flowers, tmp_path_factory.mktemp("shards"), SIDE)


def test_shards_at_an_address_are_read_as_shards_in_a_folder(shards: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in shards.iterdir():
        memory.pipe(f"/photos/{path.name}", path.read_bytes())
    here = open_data(str(shards), Preprocess(image_size=16))
    there = open_data("memory://photos/{train-{000..004},val-000,val-001}.tar", Preprocess(image_size=16))
    assert isinstance(there, ImageDataset) and there.files.manifest.store.remote
    assert len(here) == len(there) == 500
    some = torch.tensor([0, 99, 499])
    assert torch.equal(here.read(some).images, there.read(some).images)


def test_an_epoch_of_shards_can_begin_anywhere(shards: Path) -> None:
    dataset = open_data(str(shards), Preprocess(image_size=8))
    loader = Loader(dataset, torch.arange(500), 32, seed=3)
    whole = [batch.indices.tolist() for batch in loader.epoch(1)]
    assert [batch.indices.tolist() for batch in loader.epoch(1, first=7)] == whole[7:]
    assert sorted(index for batch in whole for index in batch) == list(range(500))
    assert whole != [batch.indices.tolist() for batch in loader.epoch(2)]


def test_shards_are_mixed_no_further_than_the_buffer() -> None:
    shards = torch.arange(20).repeat_interleave(1000)
    order = by_shards(torch.arange(20_000), shards, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(20_000))
    _, first = torch.unique_consecutive(shards[order], return_inverse=True)
    in_a_row = shards[order].unfold(0, 100, 100)
    assert max(len(row.unique()) for row in in_a_row) <= BUFFER // 1000 + 2
    assert (order[:100].diff() != 1).float().mean() > 0.9
    assert first.max() > 1000


def test_broken_shards_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'x.tar'}: not a readable tar")):
        open_data(str(tmp_path / "x.tar"))
    with pytest.raises(DataError, match="no such shard"):
        open_data(str(tmp_path / "y-{0..3}.tar"))
