"""Images that use less than the depth of their files, and arrays of many forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convnet.data import all_images, open_data
from convnet.errors import DataError


def pattern(i: int) -> np.ndarray:
    """Zeros and ones, 12×16."""
    return (np.add.outer(np.arange(12), np.arange(16)) // (2 + i) % 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("top", "dtype", "white"),
    [(1, np.uint8, 1), (1, np.uint16, 1), (500, np.uint16, 511), (4095, np.uint16, 4095), (12, np.uint8, 15)],
)
@pytest.mark.parametrize("form", ["png", "npy"])
def test_low_depths_are_scaled(tmp_path: Path, top: int, dtype: type, white: int, form: str) -> None:
    for i in range(6):
        values = pattern(i).astype(dtype) * dtype(top)
        path = tmp_path / "ab"[i % 2] / f"{i}.{form}"
        path.parent.mkdir(exist_ok=True)
        np.save(path, values) if form == "npy" else Image.fromarray(values).save(path)
    dataset = open_data(str(tmp_path))
    images = all_images(dataset)
    assert images.max() == round(255 * top / white) and images.min() == 0
    assert dataset.info.white == white and not dataset.info.excluded
    assert any(line.startswith(f"pixels use values up to {white:,}") for line in dataset.info.warnings)


def test_full_depth_is_left_alone(tmp_path: Path) -> None:
    for i in range(6):
        path = tmp_path / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pattern(i) * np.uint8(40 if i else 5)).save(path)
    dataset = open_data(str(tmp_path))
    assert dataset.info.white is None and all_images(dataset).max() == 40


@pytest.mark.parametrize(
    "shape", [(6, 12, 16), (6, 12, 16, 3), (6, 3, 12, 16), (6, 12, 16, 1), (6, 1, 12, 16)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.bool_])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    random = np.random.default_rng(0).random(shape)
    full = {np.uint8: 255, np.uint16: 65535, np.int64: 40_000, np.float32: 1, np.bool_: 1}[dtype]
    images = (random > 0.5) if dtype is np.bool_ else (random * full).astype(dtype)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2)
    dataset = open_data(str(tmp_path / "a.npz"))
    channels = 3 if 3 in shape else 1
    assert dataset.info.shape == (channels, 12, 16)
    assert all_images(dataset).float().mean() > 60


@pytest.mark.parametrize("shape", [(6, 3, 12, 3), (6, 12, 14, 16)])
def test_ambiguous_axes_are_asked_about(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", images=np.full(shape, 200, np.uint8), labels=np.arange(6) % 2)
    with pytest.raises(DataError, match="not clear which axis holds the channels"):
        open_data(str(tmp_path / "a.npz"))


def test_zeros_and_ones_in_arrays(tmp_path: Path) -> None:
    images = np.stack([pattern(i) for i in range(6)])
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2)
    dataset = open_data(str(tmp_path / "a.npz"))
    assert dataset.info.white == 1 and torch.equal(
        all_images(dataset).unique(), torch.tensor([0, 255]).byte()
    )


def test_files_of_two_depths(tmp_path: Path) -> None:
    """12 bits in 16 beside 8 bits: both are scaled to their own white."""
    for i in range(8):
        path = tmp_path / "ab"[i // 4] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (12, 16)).astype(np.uint16)
        Image.fromarray(noise * 16 if i % 2 else noise.astype(np.uint8)).save(path)
    dataset = open_data(str(tmp_path))
    assert dataset.info.white == 4095
    assert all(int(image.max()) >= 240 for image in all_images(dataset))


@pytest.mark.parametrize(
    ("low", "high", "way_out"),
    [(0, 255, "x / 255"), (-1, 1, r"\(x \+ 1\) / 2"), (0, 4000, r"\(x - 0\) / 4000")],
)
def test_floats_out_of_range_have_a_way_out(tmp_path: Path, low: float, high: float, way_out: str) -> None:
    images = np.linspace(low, high, 6 * 64).reshape(6, 8, 8, 1).repeat(3, 3).astype(np.float32)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(6) % 2)
    with pytest.raises(DataError, match=f"values from {low} to {high}; .* Scale them, for example {way_out}"):
        open_data(str(tmp_path / "x.npz"))


def test_arrays_by_other_names_and_arrays_that_are_no_images(tmp_path: Path) -> None:
    images, labels = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), np.uint8), np.arange(6) % 2
    parts = {"train": slice(0, 4), "test": slice(4, 6)}
    medical = {f"{name}_images": images[part] for name, part in parts.items()}
    medical |= {f"{name}_labels": labels[part, None] for name, part in parts.items()}
    np.savez(tmp_path / "medical.npz", **medical)  # type: ignore[arg-type]
    assert open_data(str(tmp_path / "medical.npz")).info.given_split == ["train"] * 4 + ["test"] * 2
    np.savez(tmp_path / "flat.npz", images=images.reshape(6, -1), labels=labels)
    with pytest.raises(DataError, match=r"images have the shape \(6, 192\); expected N×H×W"):
        open_data(str(tmp_path / "flat.npz"))
    np.savez(tmp_path / "numbers.npz", images=images, labels=labels + 0.5)
    with pytest.raises(DataError, match="labels hold fractions or NaN"):
        open_data(str(tmp_path / "numbers.npz"))
