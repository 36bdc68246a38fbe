"""Runs beyond labels, end to end: the same command line, run folder and report as the classifiers'."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

import convnet
from tests.conftest import Cli, refused, result_of

SMALL_UNET = ("--set", "model.width=4", "--set", "model.depth=2")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "china.png"
    Image.fromarray(load_sample_image("china.jpg")[:150, :210]).save(path)
    return path


def width(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_segmentation_from_folder_to_mask(call: Cli, tmp_path: Path) -> None:
    """M68, M93: bright pixels are things; masks of 0 and 255, images of two sizes."""
    draws = np.random.default_rng(0)
    for i in range(12):
        mask = np.kron(draws.random((6 + i % 2, 8)) > 0.6, np.ones((8, 8))) > 0
        image = (mask * 120 + draws.integers(0, 90, mask.shape)).astype(np.uint8)
        for folder, pixels in (("images", image), ("masks", (mask * 255).astype(np.uint8))):
            (tmp_path / "things" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "things" / folder / f"{i:02}.png")
    done = result_of(
        call("train", "things", *SMALL_UNET, "--set", "augment.crop=32", "--set", "augment.crops=8",
             "--set", "augment.elastic=1", "--epochs", 8, "--out", "run", "--json")
    )  # fmt: skip
    assert done["task"] == "segmentation"
    scores = done["test"]
    assert scores["pixel_accuracy"] > 0.85 and scores["samples"] == 1
    assert scores["mean_iou"] == pytest.approx(np.mean(list(scores["iou"].values())))
    rows = table(tmp_path / "run" / "predictions.csv")
    assert float(rows[-1]["pixel_accuracy"]) == pytest.approx(scores["pixel_accuracy"], abs=1e-5)
    assert width(tmp_path / "run" / "figures" / "maps.png") > 300
    assert "First batch, augmented" in (tmp_path / "run" / "report.html").read_text()
    assert "mean IoU" in (tmp_path / "run" / "report.html").read_text()
    again = result_of(call("evaluate", "run", "things", "--json"))
    assert again["samples"] == 12 and again["iou"].keys() == {"0", "255"}

    said = call("predict", "run", "things/images/00.png", "--out", "masks", "--tile", 16)
    assert said.returncode == 0 and "00-mask.png" in said.stdout
    with Image.open(tmp_path / "masks" / "00-mask.png") as written:
        assert written.mode == "L" and written.size == (64, 48)
        indices = np.asarray(written)
    (whole,) = convnet.load_run(tmp_path / "run").predict([tmp_path / "things" / "images" / "00.png"])
    assert (indices == 255 * whole.indices).mean() > 0.999  # tiled and whole, in the values of the masks
    with Image.open(tmp_path / "things" / "masks" / "00.png") as image:
        truth = np.asarray(image) > 0
    assert (truth == (indices == 255)).mean() > 0.8
    assert "--dense applies to classifiers" in refused(
        call("predict", "run", "things/images/00.png", "--dense")
    )
    assert "no embedding of whole samples" in refused(call("features", "run"))


@pytest.mark.parametrize("task", ["denoise", "inpaint", "colorize", "super-resolution", "deblur"])
def test_images_from_images(call: Cli, tmp_path: Path, photo: Path, task: str) -> None:
    """M99: every damage is learned from in a few steps, and any size is predicted."""
    done = result_of(
        call("train", "sample-photos", "--task", task, *SMALL_UNET, "--set", "augment.crop=32", "--set",
             "augment.crops=32", "--epochs", 1, "--out", "run", "--json")
    )  # fmt: skip
    assert done["task"] == task and {"psnr", "ssim", "input_psnr", "input_ssim"} <= done["test"].keys()
    said = call("predict", "run", photo, "--out", "out.png")
    assert said.returncode == 0, said.stderr
    with Image.open(tmp_path / "out.png") as made, Image.open(photo) as given:
        factor = 2 if task == "super-resolution" else 1
        assert made.size == (given.width * factor, given.height * factor) and made.mode == "RGB"
    assert width(tmp_path / "run" / "figures" / "maps.png") > 500


def test_denoising_restores(call: Cli, tmp_path: Path) -> None:
    model = ("--set", "model.width=8", "--set", "model.depth=1", "--set", "optimizer.lr=0.01")
    crops = ("--set", "augment.crop=32", "--set", "augment.crops=1024", "--epochs", 2)
    done = result_of(
        call("train", "sample-photos", "--task", "denoise", *model, *crops, "--out", "run", "--json")
    )
    assert done["test"]["psnr"] > done["test"]["input_psnr"] + 4


def test_pairs_of_folders_teach_what_they_show(call: Cli, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for i in range(10):
        given = draws.integers(0, 200, (16, 16)).astype(np.uint8)
        for folder, pixels in (("inputs", given), ("targets", given + 50)):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "pairs" / folder / f"{i}.png")
    done = result_of(
        call("train", "pairs", *SMALL_UNET, "--set", "augment.crop=16", "--set", "augment.crops=8",
             "--epochs", 12, "--set", "optimizer.lr=0.01", "--out", "run", "--json")
    )  # fmt: skip
    assert done["task"] == "image-to-image"
    assert done["test"]["psnr"] > done["test"]["input_psnr"] + 6


def test_codes_of_an_autoencoder_are_features(call: Cli, tmp_path: Path) -> None:
    """M67: trained, written as a table, and used by another model."""
    done = result_of(call("train", "autoencoder-digits", "--epochs", 15, "--out", "codes", "--json"))
    assert done["test"]["squared_error"] < 0.05 and "input_psnr" not in done["test"]
    assert (tmp_path / "codes" / "figures" / "codes.svg").exists()
    assert "1,797 samples × 8 features" in call("features", "codes", "--out", "codes.parquet").stdout
    codes = pq.read_table(tmp_path / "codes.parquet")
    assert codes.column_names == ["sample", "class", *map(str, range(8))] and codes.num_rows == 1797
    call("features", "codes", "digits", "--out", "codes.npz")
    with np.load(tmp_path / "codes.npz") as arrays:
        np.testing.assert_allclose(arrays["features"][:, 3], codes.column("3").to_numpy(), atol=1e-6)
    model = ("--model", "codes:encoder -> linear")
    linear = result_of(call("train", "digits", *model, "--epochs", 30, "--out", "linear", "--json"))
    assert linear["test"]["accuracy"] > 0.6
    assert convnet.load_run(tmp_path / "linear").evaluate().score == linear["test"]["accuracy"]
    wrong = call("train", "digits", "--model", "codes:encoder -> linear", "--set", "preprocess.image_size=9")
    assert "the network takes 1×8×8 images, not 1×9×9; train both on the same size" in refused(wrong)
    other = tmp_path / "other.png"
    Image.new("L", (9, 8)).save(other)
    assert "the network takes 8×8 images only, this one is 9×8" in refused(call("predict", "codes", other))
    assert "written as one of .parquet" in refused(call("features", "codes", "--out", "codes.xls"))


def test_series_with_and_without_a_class_per_step(call: Cli, tmp_path: Path) -> None:
    """M34: unequal lengths, many channels."""
    draws = np.random.default_rng(0)
    x = np.full((60, 2, 40), np.nan, np.float32)
    steps = np.full((60, 40), "", "<U5")
    kinds = []
    for i in range(60):
        length, fast = draws.integers(25, 41), i % 2
        time = np.arange(length)
        x[i, 0, :length] = np.sin(time * (1.2 if fast else 0.3)) + draws.normal(0, 0.1, length)
        x[i, 1, :length] = draws.normal(0, 0.3, length) + 2 * (time > 15)
        steps[i, :length] = np.where(time > 15, "late", "early")
        kinds.append("fast" if fast else "slow")
    np.savez(tmp_path / "kinds.npz", x=x, y=np.array(kinds))
    np.savez(tmp_path / "steps.npz", x=x, y=steps)
    options = ("--set", "model.width=8", "--set", "model.depth=2", "--epochs", 10)
    done = result_of(call("train", "kinds.npz", *options, "--out", "kinds", "--json"))
    assert done["test"]["accuracy"] == 1
    assert {"evidence-0.svg", "samples-0.svg"} <= {p.name for p in (tmp_path / "kinds" / "figures").iterdir()}
    np.savez(tmp_path / "new.npz", x=x[:3])
    assert [line.split()[1] for line in call("predict", "kinds", "new.npz").stdout.splitlines()] == kinds[:3]
    done = result_of(call("train", "steps.npz", *options, "--out", "steps", "--json"))
    assert done["task"] == "segmentation" and done["test"]["pixel_accuracy"] > 0.85
    assert "3 series" in call("predict", "steps", "new.npz", "--out", "said.csv").stdout
    rows = table(tmp_path / "said.csv")
    assert len(rows) == int((~np.isnan(x[:3, 0])).sum()) and rows[0]["class"] == "early"
    encoded = call("train", "kinds.npz", "--model", "kinds:encoder -> linear", "--epochs", 5, "--json")
    assert result_of(encoded)["test"]["accuracy"] > 0.8
    refusal = refused(call("train", "kinds.npz", "--set", "model.per_step=true"))
    assert "a classifier of 2 classes must return (3, 2)" in refusal
    refusal = refused(call("train", "kinds.npz", "--set", "model=linear"))
    assert "different lengths, which 'linear' cannot take" in refusal


def test_a_recording_is_predicted_alone(call: Cli, tmp_path: Path) -> None:
    from scipy.io import wavfile

    for name, rate in (("low", 0.05), ("high", 0.6)):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for i in range(12):
            tone = np.sin(np.arange(100 + 5 * i) * rate + i) * 20000
            wavfile.write(tmp_path / "tones" / name / f"{i}.wav", 8000, tone.astype(np.int16))
    options = ("--set", "model.width=8", "--set", "model.depth=2", "--epochs", 15)
    assert result_of(call("train", "tones", *options, "--out", "run", "--json"))["test"]["accuracy"] == 1
    assert call("predict", "run", "tones/low/3.wav").stdout.startswith("tones/low/3.wav  low")
    data = convnet.load_run(tmp_path / "run").recipe.data
    assert (data.audio, data.sample_rate) == ("log-mel", 8000)
    tone = np.sin(np.arange(700) * 0.6 / 5.5125) * 20000
    wavfile.write(tmp_path / "other.wav", 44100, tone.astype(np.int16))  # resampled as in training
    assert call("predict", "run", "other.wav").stdout.startswith("other.wav  high")
    (tmp_path / "tones" / "low" / "bad.wav").write_text("no recording")
    done = call("predict", "run", "tones/low")  # the readable ones of a folder
    assert done.returncode == 1 and "bad.wav: not a readable WAV file" in done.stderr
    assert len(done.stdout.splitlines()) == sum(1 for _ in (tmp_path / "tones" / "low").iterdir()) - 1
    shutil.make_archive("tones", "zip", tmp_path / "tones")
    assert call("predict", "run", "tones.zip").stdout.startswith("tones.zip/high/0.wav  high")
    done = call("train", "tones.zip", "--epochs", 1)
    assert "skipped: 1 unreadable, such as low/bad.wav" in done.stdout + done.stderr
    assert "recordings/s" in done.stdout


def test_fine_tuning_accounts_for_its_weights_and_resumes_without_them(call: Cli, tmp_path: Path) -> None:
    """M47: the head is new, the backbone frozen at first, and a resumed run needs no file."""
    low, high = ('data.classes=["0","1","2","3","4"]', 'data.classes=["5","6","7","8","9"]')
    options = ("--model", "small-convnet", "--set", "model.width=8")
    call("train", "digits", *options, "--set", low, "--epochs", 4, "--out", "low")
    tuned = call(
        "train", "digits", *options, "--set", high, "--set", "split.per_class=10", "--weights", "low",
        "--epochs", 3, "--out", "high", "--keep-checkpoints", "--json",
    )  # fmt: skip
    done = result_of(tuned)
    assert "loaded" in tuned.stderr and "new: " in tuned.stderr and "unused: 1." in tuned.stderr
    assert done["test"]["samples"] == 89
    split = table(tmp_path / "high" / "split.csv")
    assert sum(row["split"] == "train" for row in split) == 50 and {row["class"] for row in split} == set(
        "56789"
    )
    (tmp_path / "low" / "model.safetensors").rename(tmp_path / "moved.safetensors")
    longer = call("resume", "high", "--epochs", 4, "--json")
    assert result_of(longer)["epochs"] == 4
    assert "is not finished" in refused(call("train", tmp_path / "high" / "recipe.yaml", "--out", "x"))
    (tmp_path / "low" / "model.safetensors").write_bytes(b"other")
    assert "has changed: its sha256" in refused(
        call("train", tmp_path / "high" / "recipe.yaml", "--out", "x")
    )
    other = call("train", "digits", "--model", "mlp", "--weights", "moved.safetensors")
    assert "weights of another network than mlp" in refused(other)


def test_a_classifier_over_a_photo(call: Cli, tmp_path: Path, photo: Path) -> None:
    """M31: equal to the classifier window by window, and drawn over the photo."""
    call("train", "digits", "--model", "lenet5", "--set", "preprocess.image_size=32", "--set",
         "preprocess.channels=3", "--epochs", 1, "--out", "run")  # fmt: skip
    (found,) = result_of(call("predict", "run", photo, "--dense", "--scale", 0.5, "--json"))
    assert found["window"] == [32, 32] and found["stride"] == 4
    assert found["map"] == [(75 - 32) // 4 + 1, (105 - 32) // 4 + 1]
    assert found["largest_difference"] < 1e-5
    assert sum(found["classes"].values()) == pytest.approx(1)
    assert width(tmp_path / "china-dense.png") > 500
    (odd,) = result_of(call("predict", "run", photo, "--dense", "--scale", 0.437, "--json"))
    assert odd["largest_difference"] < 1e-5
    assert "must lie between" in refused(call("predict", "run", photo, "--dense", "--scale", "nan"))
    small = call("predict", "run", photo, "--dense", "--scale", 0.1)
    assert "the network takes 32×32 or more" in refused(small)
    assert "--scale applies only with --dense" in refused(call("predict", "run", photo, "--scale", 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["digits", "--task", "segmentation"],
            "digits: holds images with one class per image, but the task needs one class per position",
        ),
        (
            ["digit-scenes", "--task", "classification"],
            "holds images with one class per position, but the task needs one class per sample",
        ),
        (
            ["digit-scenes", "--model", "lenet5"],
            "model 'lenet5' has one output per image and does not fit task segmentation",
        ),
        (
            ["digits", "--model", "linear", "--task", "denoise"],
            "model 'linear' has one output per image and does not fit task denoise",
        ),
        (
            ["digits", "--model", "knn", "--task", "multi-label"],
            "holds images with one class per image, but the task needs any number of labels per sample",
        ),
        (
            ["tumours", "--task", "denoise"],
            "tumours: holds rows of numbers with one class per row, but the task needs images",
        ),
        (
            ["tumours", "--task", "multi-label"],
            "with one class per row, but the task needs any number of labels per sample",
        ),
        (
            ["digits", "--model", "unet"],
            "model 'unet' has one output per pixel and does not fit task classification",
        ),
        (
            ["digits", "--task", "denoise", "--set", "loss=dice"],
            "loss 'dice' is not for task denoise; use one of l1, l1-ssim, l2, ssim",
        ),
        (
            ["digits", "--task", "denoise", "--set", "augment.mixup=1"],
            "augment.mixup does not apply to task denoise",
        ),
        (["digits", "--task", "colorize"], "digits: has gray images; task colorize needs color images"),
        (["digits", "--task", "dense"], "unknown task 'dense'"),
        (
            ["sample-photos", "--set", "augment.crop=0", "--set", "augment.crops=1"],
            "different sizes and cannot be batched; crop",
        ),
        (["sample-photos", "--set", "augment.crop=400"], "larger than the smallest image of sample-photos"),
        (["digits", "--set", "augment.crop=4"], "augment.crop is for segmentation and image-to-image"),
        (["digits", "--set", "data.classes=[a]"], "data.classes: no class 'a'"),
        (["digits", "--set", "split.per_class=900"], "class '0' has 144 training samples"),
        (
            ["digit-scenes", "--set", "model.convolutions=valid", "--set", "model.depth=3"],
            "model 'unet' takes images of 92 or more pixels a side, not 48",
        ),
        (["digits", "--weights", "imagenet"], "none are known for"),
        (
            ["digits", "--set", "weights.source=x", "--set", "weights.freeze_epochs=30"],
            "leaves nothing to fine-tune",
        ),
        (["digit-scenes", "--set", "loss.class_weights=[1,2]"], "2 numbers for 11 classes"),
    ],
)
def test_what_does_not_fit_together(call: Cli, arguments: list[str], message: str) -> None:
    assert message in refused(call("train", *arguments))


def test_series_are_not_denoised(call: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "waves.npz", x=np.zeros((20, 30)), y=np.array(["a", "b"] * 10))
    message = refused(call("train", "waves.npz", "--task", "denoise"))
    assert "waves.npz: holds series with one class per series; use --task classification" in message


def test_a_killed_segmentation_goes_on_exactly(tmp_path: Path) -> None:
    """As a classifier's run: crops, deformations and all."""

    class StopError(Exception):
        pass

    def stop(event: object) -> None:
        if getattr(event, "step", 0) == 5:
            raise StopError

    settings = {
        "epochs": 2, "model": {"name": "unet", "width": 2, "depth": 1}, "batch_size": 100,
        "augment": {"elastic": 1.0, "flip": True},
    }  # fmt: skip
    whole = convnet.train("digit-scenes", out=tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        convnet.train("digit-scenes", out=tmp_path / "cut", listeners=[stop], **settings)
    from convnet.workflows import resume

    cut = resume(tmp_path / "cut")
    a, b = whole.model.state_dict(), cut.model.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert json.loads((tmp_path / "cut" / "result.json").read_text())["test"] == whole.result["test"]


@pytest.mark.parametrize("size", [(61, 73), (48, 48)])
def test_no_remark_about_sizes_that_training_does_not_feed(
    call: Cli, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Crops and padded images divide evenly, whatever the size of the files."""
    rng = np.random.default_rng(0)
    for i in range(8):
        shape = (size[0] + i % 2 * 4, size[1])
        mask = np.zeros(shape, np.uint8)
        mask[: shape[0] // 2] = 1
        for folder, pixels in (("images", rng.integers(0, 256, shape).astype(np.uint8)), ("masks", mask)):
            (tmp_path / "cells" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "cells" / folder / f"{i}.png")
    done = call(
        "train", "cells", "--model", "unet", "--set", "model.depth=2", "--set", "model.width=2", "--epochs", 1
    )
    assert done.returncode == 0 and "epoch 1/1" in done.stderr
    assert "ignored" not in done.stderr, done.stderr
