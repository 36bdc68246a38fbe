"""Folders of masks and pairs are audited, split and drawn as what they are."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convnet
from convnet.data import Dataset, SplitOptions, make_split
from convnet.errors import DataError
from tests.conftest import Cli, result_of

SIDE = 32


def make_masks(root: Path, count: int, value: int = 1, names: list[str] | None = None) -> Path:
    """Bright disks, with masks that are `value` inside."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        disk = (y - rng.integers(8, 24)) ** 2 + (x - rng.integers(8, 24)) ** 2 < rng.integers(9, 49)
        image = (rng.normal(90, 12, (SIDE, SIDE)) + 90 * disk).clip(0, 255)
        for folder, pixels in (("images", image), ("masks", disk * value)):
            path = root / folder / f"{names[i] if names else i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def found(root: Path, **options: object) -> dict[str, set[str]]:
    """The paths of the findings, by kind."""
    audit = convnet.audit(root, **options)  # type: ignore[arg-type]
    return {kind: {finding.path for finding in findings} for kind, findings in audit.by_kind.items()}


def test_sound_masks_have_no_findings(tmp_path: Path) -> None:
    audit = convnet.audit(make_masks(tmp_path / "cells", 8))
    assert audit.images == 8 and not audit.findings and not audit.manifest.classes


def test_every_fault_of_masks_is_found(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "cells", 10)
    (root / "masks" / "0.png").unlink()
    Image.new("L", (SIDE, SIDE)).save(root / "masks" / "extra.png")
    Image.new("L", (SIDE, SIDE + 1)).save(root / "masks" / "1.png")
    (root / "masks" / "2.png").write_bytes(b"no image")
    Image.new("L", (SIDE, SIDE)).save(root / "masks" / "3.png")
    shutil.copy(root / "images" / "4.png", root / "images" / "5.png")
    (root / "images" / "6.png").write_bytes((root / "images" / "6.png").read_bytes()[:200])
    assert found(root) == {
        "unpaired": {"images/0.png", "masks/extra.png"},
        "unreadable_partner": {"masks/2.png"},
        "size_mismatch": {"masks/1.png"},
        "near_empty_mask": {"masks/1.png", "masks/3.png"},
        "exact_duplicate": {"images/5.png"},
        "truncated": {"images/6.png"},
    }


def test_values_that_are_no_class(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "cells", 6, value=2)
    with Image.open(root / "masks" / "3.png") as mask:
        pixels = np.array(mask)
    pixels[0, 0] = 9
    Image.fromarray(pixels).save(root / "masks" / "3.png")
    assert found(root, colors={"none": 0, "cell": 2}) == {"unknown_value": {"masks/3.png"}}
    assert not found(root, colors={"none": 0, "cell": 2}, ignore_index=9)


def test_pairs(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "pairs", 6, value=200)
    (root / "images").rename(root / "inputs")
    (root / "masks").rename(root / "targets")
    assert not found(root)
    Image.new("L", (SIDE, 8)).save(root / "targets" / "1.png")
    (root / "inputs" / "2.png").unlink()
    assert found(root) == {"size_mismatch": {"targets/1.png"}, "unpaired": {"targets/2.png"}}


@pytest.mark.parametrize("wrapped", [False, True])
def test_archives_are_read_as_their_folders(call: Cli, tmp_path: Path, wrapped: bool) -> None:
    cells = make_masks(tmp_path / "cells", 12)
    (cells / "masks" / "0.png").unlink()
    shutil.make_archive(str(tmp_path / "zipped"), "zip", *((tmp_path, "cells") if wrapped else (cells,)))
    assert {kind: len(paths) for kind, paths in found(tmp_path / "zipped.zip").items()} == {"unpaired": 1}
    (cells / "images" / "0.png").unlink()
    shutil.make_archive(str(tmp_path / "zipped"), "zip", *((tmp_path, "cells") if wrapped else (cells,)))
    whole = convnet.open_data(str(tmp_path / "zipped.zip"))
    assert whole.info.name == "zipped" and whole.info.target.dense
    folder = convnet.open_data(str(cells))
    assert torch.equal(whole.targets, folder.targets)  # type: ignore[attr-defined]
    assert call("train", "zipped.zip", "--epochs", 1, "--out", "run").returncode == 0
    assert result_of(call("evaluate", "run", "zipped.zip", "--json"))["samples"] == 11


def test_pairs_in_an_archive(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "pairs", 30, value=200)
    (root / "images").rename(root / "inputs")
    (root / "masks").rename(root / "targets")
    shutil.make_archive(str(tmp_path / "zipped"), "zip", root)
    archive, folder = (convnet.open_data(str(path)) for path in (tmp_path / "zipped.zip", root))
    assert torch.equal(archive.targets, folder.targets)  # type: ignore[attr-defined]
    assert archive.info.locations == folder.info.locations


def test_tiles_of_one_picture(tmp_path: Path) -> None:
    names = [f"{picture}_{row}_{column}" for picture in "ab" for row in (0, 1) for column in (0, 1)]
    root = make_masks(tmp_path / "all", 8, names=names)
    assert found(root) == {"split_leak": {"a", "b"}}
    for name in names:
        split = "val" if name == "a_1_1" else "train"
        for folder in ("images", "masks"):
            (tmp_path / "tiles" / split / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(root / folder / f"{name}.png", tmp_path / "tiles" / split / folder)
    assert found(tmp_path / "tiles") == {"split_leak": {"a"}}
    dates = make_masks(
        tmp_path / "dates", 5, names=[f"2024_{m}_{d}" for m, d in enumerate((3, 9, 9, 14, 30))]
    )
    assert not found(dates)


def test_copies_of_images_with_masks_stay_in_one_split(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "cells", 12)
    for i in range(1, 6):
        shutil.copy(root / "images" / "0.png", root / "images" / f"{i}.png")
    dataset = convnet.open_data(str(root))
    for seed in range(5):
        split = make_split(dataset, SplitOptions(seed=seed, val=0.25, test=0.25))
        names = {
            name for name in ("train", "val", "test") if set(split[name].tolist()) & set(copies(dataset))
        }
        assert len(names) == 1


def copies(dataset: Dataset) -> list[int]:
    return [i for i, path in enumerate(dataset.info.locations) if Path(path).stem in "012345"]


def test_the_commands(call: Cli, tmp_path: Path) -> None:
    make_masks(tmp_path / "cells", 12)
    done = call("data", "split", "cells", "--val", 0.25)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 12 and set(rows[0]) == {"path", "split", "group"}
    assert all(row["path"].startswith("images/") for row in rows)
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert result_of(call("data", "audit", "cells", "--json"))["images"] == 12
    as_classes = result_of(
        call("data", "audit", "cells", "--task", "classification", "--json", "--no-labels")
    )
    assert as_classes["classes"] == {"images": 12, "masks": 12}
    assert call("data", "preview", "cells", "--out", "seen.png").returncode == 0
    with Image.open(tmp_path / "seen.png") as picture:
        colors = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.ptp(colors, axis=1) > 60).sum() > 1000, "masks are drawn in color"


def test_training_says_how_many_files_are_alone(tmp_path: Path) -> None:
    root = make_masks(tmp_path / "cells", 6)
    for i in range(3):
        (root / "masks" / f"{i}.png").unlink()
    with pytest.raises(DataError, match=r"3 files are alone; 'convnet data audit"):
        convnet.open_data(str(root))
