"""Which values of masks are classes, and predicted masks in the same values."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import convnet
from convnet.data import open_data
from convnet.errors import DataError
from convnet.types import IGNORED

SIDE = 32


def blobs(i: int, values: tuple[int, ...]) -> np.ndarray:
    """A disc of each value but the first."""
    random = np.random.default_rng(i)
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = np.full((SIDE, SIDE), values[0], np.int64)
    for value in values[1:]:
        row, column, radius = (
            random.integers(6, SIDE - 6),
            random.integers(6, SIDE - 6),
            random.integers(4, 7),
        )
        mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = value
    return mask


def gray(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8 if mask.max() < 256 else np.uint16))


def soft(mask: np.ndarray) -> Image.Image:
    return (
        gray(mask)
        .resize((SIDE // 2, SIDE // 2), Image.Resampling.BILINEAR)
        .resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    )


def from_jpeg(mask: np.ndarray) -> Image.Image:
    buffer = io.BytesIO()
    gray(mask).save(buffer, "JPEG", quality=75)
    return Image.open(buffer).convert("L")


def folder(
    root: Path, values: tuple[int, ...], make: Callable[[np.ndarray], Image.Image] = gray, count: int = 8
) -> Path:
    for i in range(count):
        mask = blobs(i, values)
        noise = np.random.default_rng(i).normal(0, 5, mask.shape)
        brightness = 40 + 60 * np.searchsorted(values, mask) + noise
        for name, image in (("images", gray(brightness.clip(0, 255))), ("masks", make(mask))):
            (root / name).mkdir(parents=True, exist_ok=True)
            image.save(root / name / f"{i}.png")
    return root


def masks(root: Path, **options: Any) -> convnet.data.Dataset:
    return open_data(str(root), annotation="mask", **options)


@pytest.mark.parametrize(
    "values",
    [(0, 1, 2), (0, 100, 200), (0, 255), (0, 128), (1, 2, 3), (0, 1000, 2000), (0, 1, 3), (0, 60_000)],
)
def test_values_are_classes_of_their_names(tmp_path: Path, values: tuple[int, ...]) -> None:
    dataset = masks(folder(tmp_path, values))
    assert dataset.info.classes == tuple(map(str, values))
    assert dataset.info.mask_values == values
    assert sorted(dataset.targets.unique().tolist()) == list(range(len(values)))


@pytest.mark.parametrize(
    ("values", "make", "message"),
    [
        ((0, 255), soft, "are rare and isolated"),
        ((0, 255), from_jpeg, "are rare and isolated"),
        ((0, 100, 200), soft, "masks hold 1[0-9]{2} values, .*data.nearest=true"),
        ((0, 128, 255), gray, "the values 0, 128 and 255; if 255 means no class"),
        ((7,), gray, "all pixels have the value 7"),
        (tuple(range(0, 200, 7)), gray, r"more classes than masks \(8\)"),
    ],
)
def test_values_that_are_no_classes(
    tmp_path: Path, values: tuple[int, ...], make: Callable[[np.ndarray], Image.Image], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        masks(folder(tmp_path, values, make))


@pytest.mark.parametrize(
    ("values", "make", "options", "classes"),
    [
        ((0, 255), soft, {"threshold": 128}, ("0", "255")),
        ((0, 255), soft, {"colors": {"none": 0, "disc": 255}, "nearest": True}, ("none", "disc")),
        (
            (0, 100, 200),
            from_jpeg,
            {"colors": {"a": 0, "b": 100, "c": 200}, "nearest": True},
            ("a", "b", "c"),
        ),
        ((0, 128, 255), gray, {"ignore_index": 255}, ("0", "128")),
        ((0, 128, 255), gray, {"ignore_index": 128}, ("0", "255")),
        ((0, 128, 255), gray, {"colors": {"0": 0, "128": 128, "255": 255}}, ("0", "128", "255")),
        ((7,), gray, {"colors": {"none": 7, "object": 1}}, ("none", "object")),
    ],
)
def test_the_ways_out_work(
    tmp_path: Path,
    values: tuple[int, ...],
    make: Callable[[np.ndarray], Image.Image],
    options: dict[str, Any],
    classes: tuple[str, ...],
) -> None:
    dataset = masks(folder(tmp_path, values, make), **options)
    assert dataset.info.classes == classes
    truth = torch.from_numpy(blobs(0, values))
    if "ignore_index" not in options:
        levels = torch.tensor(sorted(values))
        wanted = torch.searchsorted(levels, truth)
        assert (dataset.targets[0].long() == wanted).float().mean() > 0.95


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_masks_are_turned_by_their_orientation(tmp_path: Path, orientation: int) -> None:
    root = folder(tmp_path, (0, 1))
    mask = Image.fromarray(blobs(0, (0, 1)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    mask.save(root / "masks" / "0.png", exif=exif)
    back = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_270,
        8: Image.Transpose.ROTATE_90,
    }
    turned = mask if back[orientation] is None else mask.transpose(back[orientation])
    np.testing.assert_array_equal(masks(root).targets[0], np.asarray(turned))


def test_a_mask_in_the_transparency(tmp_path: Path) -> None:
    def transparent(mask: np.ndarray) -> Image.Image:
        image = Image.new("RGBA", (SIDE, SIDE), "white")
        image.putalpha(gray(mask))
        return image

    assert masks(folder(tmp_path, (0, 255), transparent)).info.classes == ("0", "255")


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 100, 200), (0, 255), (0, 1000, 2000)])
def test_predicted_masks_have_the_values_of_the_data(tmp_path: Path, values: tuple[int, ...]) -> None:
    """They can be evaluated, and trained on."""
    root = folder(tmp_path / "data", values)
    run = convnet.train(
        str(root), out=tmp_path / "run", epochs=8, progress=False,
        model={"name": "unet", "width": 8, "depth": 1}, optimizer={"name": "adam", "lr": 0.01},
    )  # fmt: skip
    again = tmp_path / "again"
    for name in ("images", "masks"):
        (again / name).mkdir(parents=True)
    for prediction in run.predict(root / "images"):
        place = Path(prediction.location).name
        (again / "images" / place).write_bytes(Path(prediction.location).read_bytes())
        (again / "masks" / place).write_bytes(prediction.files()["mask"])
    evaluation = run.evaluate(str(again))
    assert evaluation.score == 1.0
    assert set(masks(again).info.mask_values) <= set(values)


def test_pictures_without_a_class_have_no_figures(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", (0, 1))
    model = {"name": "unet", "width": 4, "depth": 1}
    run = convnet.train(
        str(root), out=tmp_path / "run", epochs=1, model=model, progress=False, data={"ignore_index": 9}
    )
    other = folder(tmp_path / "other", (0, 1), count=2)
    for name, value in (("0", 9), ("1", 1)):
        Image.new("L", (SIDE, SIDE), value).save(other / "masks" / f"{name}.png")
    found = run.evaluate(str(other))
    assert [row["pixel_accuracy"] == "" for row in found.rows(masks(root))] == [True, False]
    Image.new("L", (SIDE, SIDE), 1).save(other / "masks" / "0.png")
    both = run.evaluate(str(other))
    assert found.loss == pytest.approx(float(both.loss or 0), rel=0.2)  # the void picture does not count as 0
    for name in ("0", "1"):
        Image.new("L", (SIDE, SIDE), 9).save(other / "masks" / f"{name}.png")
    nothing = run.evaluate(str(other))
    assert (nothing.score, nothing.loss) == (None, None)


def test_void_is_ignored(tmp_path: Path) -> None:
    dataset = masks(folder(tmp_path, (0, 1, 9)), ignore_index=9)
    assert (dataset.targets == IGNORED).any() and dataset.info.classes == ("0", "1")


@pytest.mark.parametrize("kind", ["int32", "uint8", "float64", "bool"])
def test_masks_in_arrays(tmp_path: Path, kind: str) -> None:
    root = folder(tmp_path, (0, 1))
    for i in range(8):
        np.save(root / "masks" / f"{i}.npy", blobs(i, (0, 1)).astype(kind))
        (root / "masks" / f"{i}.png").unlink()
    dataset = masks(root)
    assert dataset.info.classes == ("0", "1") and dataset.targets[3].tolist() == blobs(3, (0, 1)).tolist()


def test_masks_none_of_which_can_be_read_are_findings(tmp_path: Path) -> None:
    root = folder(tmp_path, (0, 1))
    for path in (root / "masks").iterdir():
        path.write_text("junk")
    found = convnet.audit(str(root))
    assert len(found.by_kind["unreadable_partner"]) == 8


def enlarged(mask: np.ndarray) -> Image.Image:
    """Smoothed at half the size, then enlarged without smoothing, so that edges are two pixels wide."""
    small = gray(mask).resize((SIDE // 2, SIDE // 2), Image.Resampling.BILINEAR)
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


@pytest.mark.parametrize("top", [128, 255])
def test_wide_edges_are_no_classes(tmp_path: Path, top: int) -> None:
    with pytest.raises(DataError, match=r"rare and isolated.*data.nearest=true.*data.threshold="):
        masks(folder(tmp_path, (0, top), enlarged, count=60))


def test_a_stray_pixel_is_no_class_and_thin_things_are(tmp_path: Path) -> None:
    root = folder(tmp_path / "stray", (0, 255))
    mask = np.asarray(Image.open(root / "masks" / "3.png")).copy()
    mask[mask == 255] = np.where(np.arange((mask == 255).sum()) == 5, 254, 255)
    Image.fromarray(mask).save(root / "masks" / "3.png")
    with pytest.raises(DataError, match="1 of them is rare and isolated"):
        masks(root)
    root = folder(tmp_path / "thin", (0, 200))
    for path in (root / "masks").iterdir():  # outlines two pixels wide, as of cells
        values = np.asarray(Image.open(path)).copy()
        values[10:12], values[:, 20:22] = 100, 100
        Image.fromarray(values).save(path)
    assert masks(root).info.classes == ("0", "100", "200")


def test_masks_predicted_with_a_threshold_are_read_with_it(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", (0, 100, 200))
    tiny: dict[str, Any] = {"model": {"name": "unet", "depth": 1, "width": 2}, "progress": False}
    run = convnet.train(str(root), out=tmp_path / "run", epochs=1, **tiny, **{"data.threshold": 64})
    for prediction in run.predict(root / "images"):
        (root / "masks" / Path(prediction.location).name).write_bytes(prediction.files()["mask"])
    assert run.evaluate(str(root)).scores()["pixel_accuracy"] == 1


def test_thin_lines_and_rare_indices_are_classes(tmp_path: Path) -> None:
    lines = folder(tmp_path / "lines", (0, 250), count=20)
    for i, path in enumerate(sorted((lines / "masks").iterdir())):
        values = np.asarray(Image.open(path)).copy()
        for k, value in enumerate((50, 100, 150, 200)):  # two pixels wide
            values[:, (5 * k + i) % 30 : (5 * k + i) % 30 + 2] = value
        Image.fromarray(values).save(path)
    assert len(masks(lines).info.classes) == 6
    indices = folder(tmp_path / "indices", (0, 1), count=80)
    for i, path in enumerate(sorted((indices / "masks").iterdir())):
        values = np.full((SIDE, SIDE), 13, np.uint8)
        for k in range(66):
            row, column = np.random.default_rng([i, k]).integers(0, 27, 2)
            if k != 12 and (k + i) % 3 == 0:
                values[row : row + 5, column : column + 5] = k
        values[:6, :6] = 12 if i == 0 else values[:6, :6]
        Image.fromarray(values).save(path)
    assert len(masks(indices).info.classes) == 66
