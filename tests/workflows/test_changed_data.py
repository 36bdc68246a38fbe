"""A run whose data changed after training says so instead of measuring something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convnet
from convnet.errors import DataError
from tests.conftest import PHOTOS, Cli, refused

OPTIONS: dict[str, Any] = {"model": "linear", "epochs": 1, "preprocess.image_size": 8, "progress": False}


def test_a_photo_that_was_replaced(tmp_path: Path) -> None:
    photos = shutil.copytree(PHOTOS, tmp_path / "photos")
    run = convnet.train(str(photos), out=tmp_path / "run", **OPTIONS)
    Image.new("RGB", (64, 64), "red").save(photos / "flower" / "03.jpg")
    with pytest.raises(DataError, match=r"1 of 20 samples changed .*flower/03\.jpg"):
        convnet.load_run(run.path).evaluate()
    assert len(convnet.load_run(run.path).evaluate(str(photos)))  # the data as it is now


def test_a_table_of_which_a_number_changed(call: Cli, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "cells.csv"
    rows = [f"{x:.3f},{y:.3f},{'a' if x < y else 'b'}" for x, y in rng.normal(size=(40, 2))]
    path.write_text("\n".join(["width,height,class", *rows, ""]))
    assert call("train", "cells.csv", "--epochs", 1, "--out", "run").returncode == 0
    rows[7] = "9.999," + rows[7].partition(",")[2]
    path.write_text("\n".join(["width,height,class", *rows, ""]))
    assert "1 of 40 samples changed since the run was trained" in refused(call("evaluate", "run"))


@pytest.mark.parametrize("words", [("--quiet", "train"), ("train", "--quiet")])
def test_global_options_stand_anywhere(call: Cli, words: tuple[str, str]) -> None:
    done = call(*words, "circles", "--model", "linear", "--epochs", 1, "--out", "run")
    assert done.returncode == 0 and done.stderr == ""


def test_a_photo_that_was_replaced_at_the_same_time_and_size(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            noise = np.random.default_rng([i, ord(name)]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / name / f"{i}.bmp")
    run = convnet.train(
        str(tmp_path / "data"), out=tmp_path / "run", model="linear", epochs=1, progress=False
    )
    file = tmp_path / "data" / "a" / "3.bmp"
    before = file.stat()
    Image.new("RGB", (8, 8), "red").save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    with pytest.raises(DataError, match=r"1 of 12 samples changed .*a/3\.bmp"):
        convnet.load_run(run.path).evaluate()


def test_samples_that_were_trained_on_are_found_by_content(call: Cli, tmp_path: Path) -> None:
    """Rows in another order and pixels in another format; not other rows in a file of the same name."""
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f},{'a' if x < y else 'b'}" for x, y in rng.normal(size=(40, 2))]

    def write(name: str, rows: list[str]) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(["width,height,class", *rows, ""]))
        return name

    call("train", write("cells.csv", rows), "--epochs", 1, "--out", "run")
    said = "of these 40 were used for training"
    for same in ("cells.csv", write("shuffled.csv", rows[::-1])):
        assert said in call("evaluate", "run", same).stdout
    other = [f"{x:.3f},{y:.3f},{'a' if x < y else 'b'}" for x, y in rng.normal(size=(40, 2))]
    assert said not in call("evaluate", "run", write("other/cells.csv", other)).stdout
    for path in PHOTOS.rglob("*.jpg"):
        for kind in ("png", "bmp"):
            copy = tmp_path / kind / path.parent.name / f"{path.stem}.{kind}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(copy)
    call("train", "png", "--epochs", 1, "--model", "linear", "--image-size", 8, "--out", "photos")
    first, second = (call("evaluate", "photos", kind).stdout.splitlines()[1] for kind in ("png", "bmp"))
    assert first == second and "of these 20 were used for training" in first


def test_a_report_of_a_table_that_lost_a_column(call: Cli, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "cells.csv"
    rows = [f"{x:.3f},{y:.3f},{z:.3f},{'a' if x < y else 'b'}" for x, y, z in rng.normal(size=(40, 3))]
    path.write_text("\n".join(["u,v,w,class", *rows, ""]))
    assert call("train", "cells.csv", "--model", "linear", "--epochs", 1, "--out", "run").returncode == 0
    path.write_text("\n".join(["v,w,class", *(row.partition(",")[2] for row in rows), ""]))
    assert call("report", "run").returncode == 0
    assert "are not shown" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("shape", [(), (40, 0), (40, 3), (2, 2, 2)])
def test_checksums_of_another_shape_are_named(call: Cli, tmp_path: Path, shape: tuple[int, ...]) -> None:
    call("train", "circles", "--model", "linear", "--epochs", 1, "--out", "run")
    np.save(tmp_path / "run" / "checksums.npy", np.zeros(shape, np.int64))
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f},{'inner' if x < y else 'outer'}" for x, y in rng.normal(size=(40, 2))]
    names = ",".join(convnet.load_run(tmp_path / "run").columns)
    classes = convnet.load_run(tmp_path / "run").classes
    text = "\n".join([f"{names},class", *rows, ""])
    (tmp_path / "t.csv").write_text(text.replace("inner", classes[0]).replace("outer", classes[1]))
    said = refused(call("evaluate", "run", "t.csv"))
    assert "checksums.npy: damaged: it has the shape" in said and "delete it to do without it" in said
