"""The command line on real input: what it prints, where, and with which exit status."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from convnet.cores import available_cores
from tests.conftest import Cli, refused, result_of


def test_help_does_not_load_torch() -> None:
    code = "import sys, convnet.cli.app; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_alone_means_digits_and_json_is_on_standard_output(cli: Cli, call: Cli, tmp_path: Path) -> None:
    done = cli("train", "--epochs", 3, "--keep-checkpoints", "--json")
    result = result_of(done)
    for key in ("run", "recipe", "epochs", "seconds", "images_per_second", "parameters"):
        assert key in result
    assert result["recipe"] == "digits"
    assert result["epochs"] == 3
    for split, figures in {
        "train": ["loss"],
        "val": ["loss", "accuracy"],
        "test": ["loss", "accuracy"],
    }.items():
        assert all(isinstance(result[split][name], float) for name in figures)
    assert "epoch 3/3" in done.stderr
    run = Path(result["run"])
    assert run == tmp_path / "runs" / "digits-1"
    figures = result_of(call("evaluate", run, "--json"))
    assert figures["accuracy"] == result["test"]["accuracy"]
    assert call("report", run).stdout.strip() == str(run / "report.html")
    assert result_of(call("resume", run, "--epochs", 4, "--json"))["epochs"] == 4
    assert str(run) in refused(call("train", "--out", run))


def test_lists_and_doctor(call: Cli) -> None:
    recipes = {row["name"] for row in result_of(call("recipes", "list", "--json"))}
    assert {"digits", "lenet5-mnist", "resnet9-cifar10", "resnet20-cifar10", "alexnet-imagenet"} <= recipes
    models = {row["name"] for row in result_of(call("models", "list", "--json"))}
    assert {"lecture-mnist", "lenet5", "resnet9", "small-convnet"} <= models
    sets = {row["name"]: row["place"] for row in result_of(call("data", "list", "--json", CONVNET_DATA=""))}
    assert set(sets) >= {
        "digits",
        "tumours",
        "moons",
        "mnist",
        "fashion-mnist",
        "kmnist",
        "cifar10",
        "cifar100",
    }
    assert sets["digits"] and not sets["kmnist"]
    facts = result_of(call("doctor", "--json"))
    assert facts["cores"] == available_cores()
    assert facts["versions"]["torch"] == version("torch")
    assert "options" in call("models", "show", "mlp").stdout
    assert "batch_size: 64" in call("recipes", "show", "digits").stdout
    assert "1,797 images" in call("data", "get", "digits").stdout


def test_without_network_the_files_the_addresses_and_the_folder_are_named(call: Cli, tmp_path: Path) -> None:
    message = refused(
        call(
            "train",
            "kmnist",
            CONVNET_DATA="",
            HTTP_PROXY="http://127.0.0.1:9",
            HTTPS_PROXY="http://127.0.0.1:9",
        )
    )
    assert "train-images-idx3-ubyte.gz" in message
    assert "codh.rois.ac.jp" in message
    assert str(tmp_path / "cache" / "convnet" / "kmnist") in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digits", "--model", "lenet6"], "did you mean 'lenet5'"),
        (["train", "digits", "--optimizer", "adamm"], "did you mean 'adam'"),
        (["train", "digits", "--set", "optimizer.lrr=1"], "did you mean 'lr'"),
        (["train", "digits", "--set", "optimizer.lr=-1"], "greater than 0"),
        (["train", "digits", "--set", "epochs"], "expected key=value"),
        (["train", "digits", "--model", "lenet5"], "at least 28×28 pixels, got 8×8"),
        (["train", "digits", "--out", "/proc/nothing/here"], "cannot write /proc/nothing/here"),
        (["train", "digit"], "did you mean 'digits'"),
        (["train", "./nowhere"], "nowhere: no such folder"),
        (
            ["train", "recipe.yaml"],
            "recipe.yaml: 'epochz' is not an option of a recipe; did you mean 'epochs'",
        ),
        (["resume", "old"], "this run has format 99"),
        (["evaluate", "nowhere"], "not a run; pass a folder"),
        (["compare", "digits", "--vary", "optimizer=adam,sgdd"], "did you mean 'sgd'"),
        (["compare", "digits", "--vary", "optimizer="], "nothing to compare"),
        (["train", "--frobnicate"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(call: Cli, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "recipe.yaml").write_text("name: x\ndata: {source: digits}\nmodel: mlp\nepochz: 3\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text('{"format": 99}')
    assert message in refused(call(*arguments))
    assert not (tmp_path / "runs").exists()


def test_folders_that_cannot_be_trained_on(call: Cli, picture_folder: Path, tmp_path: Path) -> None:
    (picture_folder / "green").mkdir()
    (picture_folder / "green" / "text.jpg").write_text("hello")
    assert "green/text.jpg: not in a known image format" in refused(call("train", picture_folder))
    (tmp_path / "void").mkdir()
    assert "holds no class folders" in refused(call("train", tmp_path / "void"))


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_a_cifar_pickle_that_would_run_code(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps({b"data": Hostile()}))
    message = refused(cli("train", "cifar10", "--data-dir", tmp_path))
    assert "data_batch_1: refused: the pickle would load" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("change", "message"), [(-100, "truncated"), (2, "2 bytes too many")])
def test_damaged_idx_files(call: Cli, mnist_dir: Path, tmp_path: Path, change: int, message: str) -> None:
    shutil.copytree(mnist_dir / "mnist", tmp_path / "mnist")
    packed = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    raw = gzip.decompress(packed.read_bytes())
    packed.unlink()
    packed.with_suffix("").write_bytes(raw[:change] if change < 0 else raw + b"x" * change)
    found = refused(call("train", "mnist", "--data-dir", tmp_path))
    assert message in found
    assert str(packed.with_suffix("")) in found


def test_mnist_from_the_command_line(cli: Cli, mnist_dir: Path, tmp_path: Path) -> None:
    done = result_of(
        cli("train", "lecture-mnist", "--epochs", 1, "--data-dir", mnist_dir, "--out", "m", "--json")
    )
    assert done["test"]["accuracy"] > 0.97
    assert done["test"]["samples"] == 10_000
    assert json.loads((tmp_path / "m" / "data.json").read_text())["samples"]["train"] == 54_001


def test_flowers_from_the_command_line(call: Cli, flowers: Path) -> None:
    done = result_of(
        call("train", flowers, "--epochs", 2, "--set", "preprocess.image_size=48", "--out", "f", "--json")
    )
    assert done["test"] is None
    assert done["val"]["accuracy"] > 0.25
    picture = next((flowers / "val" / "roses").iterdir())
    line = call("predict", "f", picture).stdout
    assert str(picture) in line
    assert line.count("%") == 3
    assert "not in a known image format" in refused(call("predict", "f", flowers / "SOURCE.txt"))


def test_cifar10_from_the_command_line(cli: Cli, cifar10_dir: Path) -> None:
    arguments = ("--model", "convnetjs-cifar10", "--epochs", 1, "--set", "split.per_class=1500")
    done = result_of(cli("train", "cifar10", *arguments, "--data-dir", cifar10_dir, "--json"))
    assert done["test"]["accuracy"] > 0.25 and done["test"]["samples"] == 10_000
