"""`convnet summary`, `convnet models` and `convnet filter` as processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.models import MODELS
from tests.conftest import Cli, refused, result_of

NETS = """
from torch import nn
from convnet.layers import Conv2d
def third(): return nn.Sequential(nn.Conv2d(1, 1, 3, stride=3))
def negative(): return nn.Sequential(nn.Conv2d(3, 4, 3, stride=-1))
def ours(): return Conv2d(3, 4, 3, stride=-1)
def groups(): return Conv2d(3, 4, 3, groups=2)
def broken(): raise ValueError("one line\\nand another")
class Number(nn.Module):
    def forward(self, x): return x.mean((1, 2, 3))
def deep(): return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3), nn.MaxPool2d(2)) for _ in range(4)))
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)


def test_the_table_in_all_its_forms(call: Cli, tmp_path: Path) -> None:
    text = call("summary", "vgg-d", "--input", "3x224x224").stdout
    assert re.search(r"0 FlattenLinear +4096 102,764,544", text) and "138,357,544 parameters" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    markdown = call("summary", "lenet5", "--markdown").stdout
    assert markdown.count("\n|") == 13 and "| features.6 | Conv2d | 5×5 | 120×1×1 | 48,120 |" in markdown
    files = "--html", "net.html", "--picture", "net.svg"
    content = result_of(call("summary", "resnet18", "--classes", 5, "--batch", 32, "--json", *files))
    assert content["layers"][-1]["output"] == [5] and content["batch_size"] == 32
    page = (tmp_path / "net.html").read_text()
    assert page.count("<details") == 15 and "data:image/png;base64," in page and "http://" not in page
    assert ElementTree.parse(tmp_path / "net.svg").getroot().tag.endswith("svg")


def test_a_pattern_and_options(call: Cli) -> None:
    shape = "--input", "1x28x28"
    pattern = result_of(call("summary", "[(CONV8-RELU)*2-POOL]*2-(FC-RELU)*1-SOFTMAX", "--json", *shape))
    assert [layer["output"] for layer in pattern["layers"]][-1] == [10]
    grouped = result_of(call("summary", "alexnet", "--set", "model.groups=2", "--json"))
    assert grouped["total"]["parameters"] == 60_965_224


def test_folding(call: Cli) -> None:
    folded, whole = (call("summary", "resnet50", *options).stdout for options in ((), ("--depth", 9)))
    assert len(folded.splitlines()) < 70 and "--depth N" in folded
    assert len(whole.splitlines()) > 180 and "is folded" not in whole


def test_a_stride_that_does_not_fit(call: Cli, nets: None) -> None:
    done = call("summary", "nets:third", "--input", "1x7x7")
    assert done.returncode == 0
    assert "(7 + 2·0 − 3)/3 + 1 = 2.33: the last row and column are ignored" in " ".join(done.stdout.split())


def test_training_says_first_what_does_not_fit(call: Cli) -> None:
    done = call("train", "digits", "--model", "lecture-mnist", "--epochs", 1, "--set", "schedule=constant")
    before, _, after = done.stderr.partition("epoch 1/1")
    assert "(8 + 2·0 − 3)/2 + 1 = 3.5: the last row and column are ignored" in before and after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("alexnet", "--input", "3x32x32"), "alexnet needs images of at least 67×67 pixels, got 32×32"),
        (("nets:deep", "--input", "3x20x40"), "smallest input that works is 3×46×46"),
        (("CONV-(RELU-SOFTMAX",), "expected '-', '*' or ')' to close the '(' at position 6"),
        (("alexnet", "--input", "3x224"), "--input '3x224': expected channels x height x width"),
        (("alexnet", "--input", "3x0x9"), "every size must lie between 1 and 65,536"),
        (("nets:negative",), "layer '0' (Conv2d): kernel size, stride and dilation must be at least 1"),
        (("nets:ours",), "stride must be a number, or 2 numbers, of at least 1, got -1"),
        (("nets:groups",), "groups must divide the channels: 2 groups, 3 channels in, 4 out"),
        (("alexnet", "--set", "model.groups=3"), "model alexnet: groups: must be 1 or 2, got 3"),
        (("alexnet", "--json", "--markdown"), "choose one of --json and --markdown"),
        (("CONV-SOFTMAX", "--set", "model.layers=SOFTMAX"), "already set in the text of the model"),
        (("nets:third",), "takes 1 channels but gets 3"),
        (("nets:third",), "(without --input, for images of 3x224x224)"),
        (("alexnet", "--html", "."), "it is a folder; pass a file"),
        (("alexnet", "--set", "epochs=3"), "--set epochs: only options of the network apply"),
        (
            ("alexnet", "--picture", "net.gif"),
            "net.gif: cannot write this format; use one of .svg, .pdf, .png",
        ),
        (("alexnet", "--html", "no/where.html"), "cannot write no/where.html"),
        (("alexnet", "--set", "model.num_classes=3"), "'num_classes' is not an option of model alexnet"),
        (("(" * 999 + "CONV" + ")" * 999 + "-SOFTMAX",), "over 50 nested brackets"),
        (("nets:broken",), "failed to build: ValueError: one line and another"),
        (("alexnet", "--html", "/dev/full"), "cannot write /dev/full: not an ordinary file"),
        (("alexnett",), "did you mean 'alexnet'"),
    ],
)
def test_bad_input_is_one_message(call: Cli, nets: None, arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(call("summary", *arguments))


def test_a_number_is_no_box(call: Cli, nets: None, tmp_path: Path) -> None:
    assert call("summary", "nets:Number", "--picture", "net.svg").returncode == 0
    assert (tmp_path / "net.svg").stat().st_size > 0


def test_models_list_shows_them_all(call: Cli) -> None:
    rows = result_of(call("models", "list", "--json"))
    assert {row["name"] for row in rows} == set(MODELS)
    assert all(row["smallest"] and row["source"] for row in rows)
    assert {row["name"] for row in rows if not row["parameters"]} == {"knn", "majority"}
    text = call("models", "list").stdout
    assert all(
        re.search(rf"^{name} +{facts.parameters:,} ", text, re.M)
        for name in MODELS
        for facts in [MODELS.facts(name)]
    )
    assert "--set model.OPTION=VALUE" in call("models", "show", "vgg-a").stdout


def test_what_is_fitted_has_no_table(call: Cli) -> None:
    for model in ("knn", "majority", "hog+color -> linear"):
        assert "has no layer table" in refused(call("summary", model))


def test_filtering_a_picture(call: Cli, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    assert call("filter", "in.png", "--kernel", "shift", "--set", "right=2").stdout == "in-shift.png\n"
    moved = np.asarray(Image.open(tmp_path / "in-shift.png"))
    np.testing.assert_array_equal(moved[:, 2:], pixels[:, :-2])
    assert call("filter", "in.png", "--point", "invert", "-o", "out.bmp").returncode == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.bmp")), 255 - pixels)
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "gray.png")
    assert call("filter", "gray.png", "--kernel", "sobel-x").returncode == 0
    with Image.open(tmp_path / "gray-sobel-x.png") as picture:
        assert picture.mode == "L"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("in.png", "--kernel", "sharpn"), "unknown kernel 'sharpn'; did you mean 'sharpen'"),
        (("in.png", "--point", "invrt"), "unknown point operation 'invrt'; did you mean 'invert'"),
        (("in.png",), "choose one of --kernel"),
        (("in.png", "--kernel", "box", "--set", "size=4"), "kernel box: size: must be odd, got 4"),
        (("in.png", "--kernel", "box", "--set", "sigma=4"), "'sigma' is not an option of kernel box"),
        (("in.png", "--kernel", "box", "-o", "out.xyz"), "cannot write pictures as '.xyz'"),
        (("in.png", "--kernel", "box", "-o", "out.xbm"), "out.xbm: cannot write mode RGB as XBM; use .png"),
        (("none.png", "--kernel", "box"), "none.png: no such file"),
        (("text.png", "--kernel", "box"), "text.png: not a readable image"),
        (("in.png", "--kernel", "box", "-o", "no/out.png"), "cannot write no/out.png"),
    ],
)
def test_filters_refuse_in_one_message(
    call: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    (tmp_path / "text.png").write_text("no picture")
    assert message in refused(call("filter", *arguments))


@pytest.mark.slow
def test_every_odd_picture_is_filtered_or_refused(call: Cli, odd_images: Path, tmp_path: Path) -> None:
    codes = set()
    for path in sorted(p for p in odd_images.rglob("*") if p.is_file())[:12]:
        done = call("filter", path, "--kernel", "gaussian", "-o", tmp_path / "out.png")
        assert "Traceback" not in done.stderr, done.stderr
        codes.add(done.returncode)
    assert codes == {0, 2}


def test_a_table_as_a_process(cli: Cli) -> None:
    """The compiler of torch, which is slow to import and large, stays out."""
    assert json.loads(cli("summary", "linear", "--json").stdout)["total"]["parameters"] == 30_730
    code = (
        "import sys; sys.argv = ['convnet', 'summary', 'alexnet', '--json']\n"
        "from convnet.cli.app import main\nmain()\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
