"""A run whose data changed after training says so instead of measuring something else."""

from __future__ import annotations

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
