from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convnet.data.datasets.named.idx import parse_idx, read_idx, read_idx_images
from convnet.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def as_idx(values: np.ndarray) -> bytes:
    code = CODES[values.dtype.str[1:]]
    header = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


any_array = st.sampled_from(sorted(CODES)).flatmap(
    lambda code: arrays.arrays(code, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


@given(any_array)
def test_every_array_is_read_back(values: np.ndarray) -> None:
    found = parse_idx(as_idx(values), "x")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@given(any_array, st.integers(1, 20))
def test_a_file_one_byte_short_or_long_is_refused(values: np.ndarray, extra: int) -> None:
    raw = as_idx(values)
    with pytest.raises(DataError, match="bytes too many"):
        parse_idx(raw + b"\0" * extra, "x")
    with pytest.raises(DataError, match=r"truncated|not an IDX"):
        parse_idx(raw[: max(0, len(raw) - extra)], "x")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_an_array_or_a_clean_error(raw: bytes) -> None:
    try:
        values = parse_idx(raw, "x")
    except DataError as error:
        assert str(error).startswith("x: ")
    else:
        assert as_idx(values) == raw


@given(st.binary(max_size=100))
def test_damaged_gzip_is_a_clean_error(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.mktemp("idx") / "x.gz"
    path.write_bytes(gzip.compress(as_idx(np.arange(20, dtype="u1")))[:-8] + tail)
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_idx(path)


def test_images_and_labels_must_match(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(as_idx(np.zeros((3, 4, 5), np.uint8)))
    labels.write_bytes(as_idx(np.zeros(2, np.uint8)))
    with pytest.raises(DataError, match=r"3 images.*2 labels"):
        read_idx_images(images, labels)
    labels.write_bytes(as_idx(np.arange(3, dtype=np.uint8)))
    pixels, targets = read_idx_images(images, labels)
    assert pixels.shape == (3, 1, 4, 5)
    assert targets.tolist() == [0, 1, 2]


def test_mnist_is_read_whole(mnist_dir: Path) -> None:
    folder = mnist_dir / "mnist"
    pixels, targets = read_idx_images(
        folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
    )
    assert pixels.shape == (60_000, 1, 28, 28)
    assert np.bincount(targets).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert pixels.mean() == pytest.approx(33.3184, abs=1e-3)
