"""Baselines, pipelines, retrieval, the plane and tables from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Cli, refused, result_of


def test_baselines_and_what_train_says_of_them(call: Cli, tmp_path: Path) -> None:
    content = result_of(call("baselines", "tumours", "--minutes", 0.05, "--json"))
    assert content["data"] == "tumours"
    assert [row["name"] for row in content["rows"]] == ["majority class", "k-NN", "softmax", "SVM", "MLP"]
    fields = {
        "name", "val_accuracy", "test_accuracy", "test_interval", "fit_seconds", "ms_per_image", "bytes",
        "epochs", "limited",
    }  # fmt: skip
    assert all(set(row) == fields for row in content["rows"])
    assert list((tmp_path / "runs" / "tumours-baselines").glob("baselines-*.json"))
    shown = call("train", "tumours", "--epochs", 1).stdout
    assert "95% interval" in shown
    assert "> mlp" in shown
    assert "convnet baselines moons" in call("train", "moons", "--epochs", 1).stdout


def test_flowers_by_their_colors(call: Cli, flowers: Path) -> None:
    """A folder of photos without a test split: the interval is unknown, the neighbors are paths."""
    arguments = ("--set", "preprocess.image_size=32", "--model", "color(space=hsv) -> linear", "--out", "f")
    done = result_of(call("train", flowers, *arguments, "--json"))
    assert done["test"] is None
    assert done["val"]["accuracy"] > 0.3
    picture = next((flowers / "val" / "roses").iterdir())
    found = result_of(call("retrieve", "f", picture, "--space", "features", "--top", 3, "--json"))
    assert Path(found["matches"][0]["path"]).samefile(picture)
    assert found["matches"][0]["class"] == "roses"
    assert call("retrieve", "f", picture).returncode == 0


def test_pictures(call: Cli, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert call("filter", "photo.png", "--hog", "--set", "cell_size=16").stdout == "photo-hog.png\n"
    shown = result_of(
        call("plane", "--data", "blobs", "--model", "linear", "--epochs", 5, "-o", "p.png", "--json")
    )
    assert shown["models"][0]["accuracy"] > 0.9
    for name in ("photo-hog.png", "p.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "t.csv"], "t.csv: line 3, column 'width': 'wide' is not a number"),
        (["baselines", "t.csv"], "t.csv: line 3, column 'width': 'wide' is not a number"),
        (["baselines", "nowhere/"], "nowhere: no such folder"),
        (["baselines", "digits", "--set", "epochs=3"], "'epochs' is not common to all baselines"),
        (["baselines", "digits", "--set", "preprocess.image_size=2"], "at least 4×4 pixels"),
        (
            ["train", "digits", "--model", "knn", "--set", "model.k=5000"],
            "k=5000 exceeds the 1,458 training samples",
        ),
        (["train", "digits", "--model", "knn", "--epochs", "3"], "is fitted in one pass; use epochs=0"),
        (["train", "digits", "--model", "hog(cell_size=9) -> linear"], "at least 18×18 pixels"),
        (["train", "digits", "--model", "visual-words(words=900, patches=800) -> linear"], "900 words"),
        (["train", "digits", "--model", "hgo -> linear"], "did you mean 'hog'"),
        (["plane", "--data", "digits"], "a plane has two columns"),
        (["plane", "--data", "moons", "--model", "lenet5"], "takes images, and moons holds rows of numbers"),
        (["plane", "--vary", "model.hiden=[3]"], "did you mean 'hidden'"),
        (["retrieve", "nowhere", "x.jpg"], "neither a data set nor a folder"),
        (["filter", "photo.png", "--hog", "--kernel", "box"], "choose one of --kernel"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(call: Cli, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "t.csv").write_text("width,class\n1,a\nwide,b\n2,a\n3,b\n")
    assert message in refused(call(*arguments))
    assert not (tmp_path / "runs").exists()
