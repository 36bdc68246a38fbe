"""`convnet arithmetic`, `convnet filter` with numbers, and `convnet draw …`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PHOTOS, Cli, refused

PHOTO = PHOTOS / "flower" / "00.jpg"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_arithmetic_says_what_does_not_fit(call: Cli, tmp_path: Path) -> None:
    window = ("arithmetic", "--input", "7", "--kernel", "3", "--stride", "3")
    done = call(*window, "--out", "w.svg", "--animate", "a.svg")
    assert "2.33: does not fit" in done.stdout and "--padding 1 (3×3)" in done.stdout
    assert (tmp_path / "w.svg").exists() and b"@keyframes window" in (tmp_path / "a.svg").read_bytes()
    found = json.loads(call(*window, "--json").stdout)
    assert (found["output"], found["fits"], found["parameters"]) == ([2, 2], False, 10)
    signal = json.loads(call("arithmetic", "--input", "9", "--kernel", "3", "--1d", "--json").stdout)
    assert signal["output"] == [7]
    uneven = json.loads(call("arithmetic", "--input", "7x9", "--kernel", "3x1", "--json").stdout)
    assert uneven["output"] == [5, 9]


def test_filter_takes_numbers_and_kernels_of_ones_own(call: Cli, tmp_path: Path) -> None:
    done = call(
        "filter", "[10, 50, 60, 10, 20, 40, 30]", "--kernel", "[1/3, 1/3, 1/3]", "--at", "4", "--json"
    )
    found = json.loads(done.stdout)
    assert found["convolution"] == pytest.approx([20, 40, 40, 30, 70 / 3, 30, 70 / 3])
    assert found["at"][0]["sum"] == pytest.approx(70 / 3)
    kernel = "[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]"
    done = call(
        "filter", PHOTO, "--kernel", kernel, "--at", "10,20", "--compare", "both.png", "-o", "out.png"
    )
    before = np.asarray(Image.open(PHOTO)).astype(int)
    y, x = 10, 20
    expected = 5 * before[y, x] - before[y - 1, x] - before[y + 1, x] - before[y, x - 1] - before[y, x + 1]
    assert pixels(tmp_path / "out.png")[y, x].tolist() == np.clip(expected, 0, 255).tolist()
    assert [line.rpartition("= ")[2] for line in done.stdout.splitlines()[:3]] == [str(v) for v in expected]
    assert pixels(tmp_path / "both.png").shape[1] > 1000


def test_a_sobel_picture_is_the_same_with_other_outputs(call: Cli, tmp_path: Path) -> None:
    assert call("filter", PHOTO, "--kernel", "sobel-x", "-o", "a.png").returncode == 0
    assert call("filter", PHOTO, "--kernel", "sobel-x", "-o", "b.png", "--at", "3,3").returncode == 0
    assert np.abs(pixels(tmp_path / "a.png") - pixels(tmp_path / "b.png")).max() <= 1


def test_a_named_kernel_is_the_same_as_its_numbers(call: Cli, tmp_path: Path) -> None:
    assert call("filter", PHOTO, "--kernel", "sharpen", "-o", "a.png").returncode == 0
    ninth = "-1/9"
    kernel = f"[[{ninth},{ninth},{ninth}],[{ninth},17/9,{ninth}],[{ninth},{ninth},{ninth}]]"
    assert call("filter", PHOTO, "--kernel", kernel, "-o", "b.png").returncode == 0
    difference = pixels(tmp_path / "a.png") - pixels(tmp_path / "b.png")
    assert np.abs(difference).max() <= 1  # rounded in single and in double precision


DRAWN = {
    "activations": ("relu", "--at", "1"),
    "loss": ("3.2,5.1,-1.7", "--classes", "cat,car,frog"),
    "graph": ("(x + y) * z", "--at", "x=-2,y=5", "--at", "z=-4"),
    "pooling": ("[[2,2],[9,4]]", "--gradient", "[[3]]"),
    "normalization": ("[[1, 10], [3, 30]]",),
    "toeplitz": ("1,2,3", "--input", "5"),
    "optimizers": ("sgd", "--steps", "5", "--start", "1,1", "--lr", "sgd=0.1"),
    "initialization": ("he", "--depth", "3", "--width", "8"),
    "regularization": ("digits", "--variant", "none", "--variant", "l1=0.01+dropout=0.2", "--epochs", "1"),
    "colors": (PHOTO, "--space", "hsv"),
    "receptive-field": ("[CONV4x3-POOL]*2-SOFTMAX", PHOTO),
    "equivariance": ("[CONV4x3-POOL]*2-SOFTMAX", PHOTO, "--shifts", "1,4"),
    "unit": ("efficientnet-lite0", PHOTO, "--layer", "conv_stem", "--at", "3,10,12"),
    "weights": ("efficientnet-lite0",),
}


@pytest.mark.parametrize("name", DRAWN)
def test_draw_prints_writes_and_gives_json(name: str, call: Cli, tmp_path: Path) -> None:
    done = call("draw", name, *DRAWN[name], "--out", "picture.svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "picture picture.svg"
    assert (tmp_path / "picture.svg").read_bytes().startswith(b"<?xml")
    before = set(tmp_path.iterdir())
    assert json.loads(call("draw", name, *DRAWN[name], "--json").stdout)
    assert set(tmp_path.iterdir()) == before


def test_weights_and_fields_of_runs(call: Cli, tmp_path: Path) -> None:
    for model in ("linear", "lenet5"):
        run = ("train", PHOTOS, "--model", model, "--from-scratch", "--epochs", "1", "--out", model)
        assert call(*run).returncode == 0
    found = json.loads(call("draw", "weights", "linear", "lenet5", "--json").stdout)
    assert [(one["network"], one["kind"]) for one in found["layers"]] == [
        ("linear", "templates"),
        ("lenet5", "filters"),
    ]
    fields = json.loads(call("draw", "receptive-field", "lenet5", PHOTO, "--json").stdout)
    assert fields["layers"][0]["size"] == [5, 5]


WINDOW = ("arithmetic", "--input", "7", "--kernel", "3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("arithmetic", "--input", "x", "--kernel", "3"), "--input 'x': expected a whole number"),
        ((*WINDOW, "--pool", "--local"), "choose one of"),
        (("arithmetic", "--input", "99", "--kernel", "3", "--out", "a.svg"), "too large to draw"),
        (
            (*WINDOW, "--animate", "a.gif"),
            "a file with the suffix .svg",
        ),
        (
            (*WINDOW, "--animate", "a.svg", "--out", "no/a.svg"),
            "no folder",
        ),
        (
            (*WINDOW, "--animate", "a.svg", "--out", "a.svg"),
            "the same name",
        ),
        (
            (*WINDOW, "--pool", "--filters", "2"),
            "does not apply to --pool",
        ),
        (("filter", PHOTO, "--kernel", "box", "--compare", "no/a.png"), "there is no folder"),
        (("filter", "/dev/zero", "--kernel", "box"), "a device, not an image file"),
        (("draw", "loss", "9" * 400 + ",1"), "a number is too large"),
        (("draw", "loss", "1,2", "--classes", ","), "every class needs a name"),
        (("draw", "graph", "x", "--at", "x=1,x=2"), "x has a value already"),
        (("draw", "graph", "1if x else 2", "--at", "x=1"), "is not supported"),
        (("draw", "equivariance", "mlp", PHOTO), "no layer has maps"),
        (("draw", "equivariance", "lenet5", PHOTO, "--shifts", "1.5"), "expected whole numbers"),
        (("draw", "pooling", "[[1]]", "--size", "1", "--stride", "9" * 20), "does not fit"),
        (("draw", "toeplitz", "[[1e308]]"), "kernel: every value must be a number from"),
        (("summary", "lenet5", "vgg-a", "--depth", "1"), "of several networks only"),
        (("filter", "[1, 2", "--kernel", "[1]"), "input '[1, 2': expected numbers"),
        (("filter", "[1, 2]", "--kernel", "[1, 2]"), "expected odd sides"),
        (("filter", PHOTO, "--kernel", "[[1]]", "--at", "9999,0"), "place 9999,0: the input has"),
        (("filter", PHOTO, "--point", "invert", "--at", "1,1"), "--at applies to --kernel only"),
        (("draw", "loss", "1,a"), "scores '1,a': expected numbers"),
        (("draw", "loss", "1,2", "--out", "loss.gif"), "suffix .svg or .png or .pdf"),
        (("draw", "graph", "x", "--at", "x"), "--at 'x': expected name=number"),
        (("draw", "optimizers", "lbfgs"), "unknown optimizer 'lbfgs'"),
        (("draw", "optimizers", "--start", "1"), "--start 1: expected two numbers"),
        (("draw", "colors", "missing.jpg"), "missing.jpg: "),
        (("draw", "colors", PHOTO, "--bins", "99"), "bins 99: expected 2 to 16"),
        (("draw", "weights", "nothing"), "'nothing' is neither a run, a bundle nor"),
        (("draw", "receptive-field", "knn", PHOTO), "a model fitted to data"),
        (("draw", "regularization", "digits", "--variant", "l3=1"), "variant 'l3=1': expected none"),
        (("draw", "initialization", "he+x"), "design 'he+x'"),
        (("summary", "lenet5", "--layer", "features"), "--layer applies to --picture only"),
        (("summary", "lenet5", "resnet18", "--html", "a.html"), "of several networks only"),
    ],
)
def test_wrong_words_end_in_one_message(words: tuple[str, ...], message: str, call: Cli) -> None:
    assert message in refused(call(*words))


def test_summary_draws_chains_as_volumes_and_others_as_graphs(call: Cli, tmp_path: Path) -> None:
    for name, word in (("lenet5", "6×28×28"), ("resnet20", "· BN")):
        assert call("summary", name, "--picture", f"{name}.svg").returncode == 0
        assert word in (tmp_path / f"{name}.svg").read_text()
    assert call("summary", "resnet20", "--picture", "v.svg", "--picture-style", "volumes").returncode == 0
    assert "· BN" not in (tmp_path / "v.svg").read_text()
    done = call("summary", "vgg-a", "vgg-d", "--picture", "c.svg")
    assert "138,357,544" in done.stdout and (tmp_path / "c.svg").exists()
    both = json.loads(call("summary", "lenet5", "mlp", "--json").stdout)
    assert [table["model"] for table in both] == ["lenet5", "mlp"]
