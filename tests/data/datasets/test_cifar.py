from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet import use_settings
from convnet.data import location
from convnet.data.datasets.named.catalog import named_set
from convnet.data.datasets.named.cifar import CIFAR10, CIFAR100, CifarLayout, parse_binary, parse_python
from convnet.data.datasets.named.unpickle import restricted_loads
from convnet.errors import DataError

layouts = st.sampled_from([CIFAR10, CIFAR100])


def batch(layout: CifarLayout, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    return (
        generator.integers(0, 256, (n, 3072), dtype=np.uint8),
        generator.integers(0, layout.num_classes, n, dtype=np.uint8),
    )


def as_binary(layout: CifarLayout, pixels: np.ndarray, labels: np.ndarray) -> bytes:
    coarse = [np.zeros_like(labels)[:, None]] * (layout.label_bytes - 1)
    return np.concatenate([*coarse, labels[:, None], pixels], 1).tobytes()


def as_pickle(layout: CifarLayout, pixels: np.ndarray, labels: np.ndarray, protocol: int = 2) -> bytes:
    return pickle.dumps({b"data": pixels, layout.label_key: labels.tolist()}, protocol)


@given(layouts, st.integers(1, 4))
def test_binary_records_are_read_back(layout: CifarLayout, n: int) -> None:
    pixels, labels = batch(layout, n)
    found, targets = parse_binary(as_binary(layout, pixels, labels), layout, "x")
    np.testing.assert_array_equal(found.reshape(n, 3072), pixels)
    np.testing.assert_array_equal(targets, labels)


@pytest.mark.parametrize("layout", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_python_batches_of_every_protocol_are_read_back(layout: CifarLayout, protocol: int) -> None:
    pixels, labels = batch(layout)
    found, targets = parse_python(as_pickle(layout, pixels, labels, protocol), layout, "x")
    np.testing.assert_array_equal(found.reshape(-1, 3072), pixels)
    np.testing.assert_array_equal(targets, labels)


@given(st.binary(max_size=7000), layouts)
def test_arbitrary_bytes_give_arrays_or_a_clean_error(raw: bytes, layout: CifarLayout) -> None:
    for parse in (parse_binary, parse_python):
        try:
            pixels, labels = parse(raw, layout, "x")
        except DataError as error:
            assert str(error).startswith("x: ")
        else:
            assert pixels.shape == (len(labels), 3, 32, 32)


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=6))
def test_a_damaged_pickle_gives_arrays_or_a_clean_error(place: int, patch: bytes) -> None:
    raw = bytearray(as_pickle(CIFAR10, *batch(CIFAR10, 1)))
    raw[place : place + len(patch)] = patch
    try:
        pixels, labels = parse_python(bytes(raw), CIFAR10, "x")
    except DataError as error:
        assert str(error).startswith("x: ")
    else:
        assert pixels.shape == (len(labels), 3, 32, 32)


class Hostile:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for function, arguments in (
        (os.system, (f"touch {mark}",)),
        (eval, (f"open({str(mark)!r}, 'w')",)),
        (Path.touch, (mark,)),
        (np.load, (str(mark),)),
    ):
        with pytest.raises(DataError, match="refused: the pickle would load"):
            parse_python(pickle.dumps({b"data": Hostile(function, *arguments)}), CIFAR10, "x")
    assert not mark.exists()


def test_a_pickle_cannot_set_attributes_or_make_object_arrays() -> None:
    with pytest.raises(DataError, match="would set attributes"):
        restricted_loads(b"cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.", "x")
    with pytest.raises(DataError, match="an array of type"):
        restricted_loads(pickle.dumps(np.array([object], dtype=object)[:0]), "x")


def test_truncated_batches_and_wrong_labels_are_refused() -> None:
    pixels, labels = batch(CIFAR10)
    with pytest.raises(DataError, match="truncated"):
        parse_binary(as_binary(CIFAR10, pixels, labels)[:-1], CIFAR10, "x")
    with pytest.raises(DataError, match="label 77"):
        parse_binary(as_binary(CIFAR10, pixels, np.full(3, 77, np.uint8)), CIFAR10, "x")


@pytest.mark.parametrize("form", ["binary", "python", "archive"])
def test_every_form_of_the_set_is_found(tmp_path: Path, form: str) -> None:
    pixels, labels = batch(CIFAR10)
    files = CIFAR10.python if form == "python" else CIFAR10.binary
    content = (as_pickle if form == "python" else as_binary)(CIFAR10, pixels, labels)
    folder = tmp_path / "cifar10"
    folder.mkdir()
    names = [name for group in files.values() for name in group]
    if form == "archive":
        with tarfile.open(folder / CIFAR10.archives[0], "w:gz") as archive:
            for name in names:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        for name in names:
            (folder / name).write_bytes(content)
    with use_settings(data_dir=tmp_path):
        dataset = named_set("cifar10")
    assert len(dataset) == 18
    assert list(dataset.info.given_split or []) == ["train"] * 15 + ["test"] * 3
    assert location(dataset, 17) == f"{files['test'][0]}[2]"
    np.testing.assert_array_equal(dataset.images[:3].numpy().reshape(3, 3072), pixels)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / CIFAR10.archives[0]
    path.write_bytes(b"\x1f\x8b not really")
    with pytest.raises(DataError, match=path.name), use_settings(data_dir=tmp_path):
        named_set("cifar10")


def test_the_real_set(cifar10_dir: Path) -> None:
    with use_settings(data_dir=cifar10_dir):
        dataset = named_set("cifar10")
    assert tuple(dataset.info.shape) == (3, 32, 32)
    assert dataset.targets.bincount().tolist() == [6000] * 10
    assert dataset.info.classes[int(dataset.targets[0])] == "frog"
