"""`convnet explain`, `dream`, `review`, `evaluate` and `lr-find` on runs of the bundled data."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import convnet
from convnet.errors import ConvnetError
from convnet.explain.unknown import scrambled
from convnet.workflows import Run
from tests.conftest import PHOTOS, Cli, refused, result_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return convnet.train("digits", epochs=6, out=tmp_path_factory.mktemp("explain") / "run", progress=False)


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sklearn.datasets import load_digits

    path = tmp_path_factory.mktemp("digit") / "six.png"
    Image.fromarray((load_digits().images[6] * 16).clip(0, 255).astype(np.uint8)).save(path)
    return path


def _convolution(run: Run) -> str:
    parts = run.model.network.named_modules()
    return next(name for name, part in parts if isinstance(part, torch.nn.Conv2d))


def test_the_json_of_a_unit(run: Run, digit: Path, call: Cli) -> None:
    layer = _convolution(run)
    found = result_of(call("explain", run.path, digit, "--layer", layer, "--unit", "3,2,4", "--json"))
    assert found["layer"] == layer and found["unit"] == [3, 2, 4]
    patch, kernel = np.array(found["patch"]), np.array(found["kernel"])
    assert patch.shape == kernel.shape == tuple(run.model.network.get_submodule(layer).weight.shape[1:])
    assert (patch * kernel).sum() + (found["bias"] or 0.0) == pytest.approx(found["sum"], abs=1e-5)
    kept: list[torch.Tensor] = []
    part = run.model.network.get_submodule(layer)
    hook = part.register_forward_hook(lambda _part, _inputs, output: kept.append(output.clone()))
    try:
        pixels = np.asarray(Image.open(digit))
        run.model(torch.from_numpy(pixels.copy())[None, None])
    finally:
        hook.remove()
    assert found["sum"] == pytest.approx(float(kept[0][0, 3, 2, 4].detach()), abs=1e-6)
    assert found["receptive_field"] == {"rows": [1, 3], "columns": [3, 5]}
    assert found["activation"] is not None and found["activation"] >= 0


def test_the_page_of_an_explanation(run: Run, digit: Path, call: Cli, tmp_path: Path) -> None:
    options = ("--neighbors", "4", "--visualize", "--class", "6", "--scale", "shared", "--method", "all")
    done = call("explain", run.path, digit, *options)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "six-explain" / "explain.html").read_text()
    for title in ("Prediction", "Attribution", "Arithmetic of a unit", "Filters", "Nearest training images"):
        assert f">{title}</h2>" in page
    found = json.loads((tmp_path / "six-explain" / "explain.json").read_text())
    assert {row["method"] for row in found["attributions"]} >= {"grad-cam", "saliency", "occlusion"}
    assert all(0 <= row["deletion"] <= 1 and 0 <= row["insertion"] <= 1 for row in found["attributions"])
    assert [row["class"] for row in found["neighbors"]].count("6") >= 3
    assert len(page) < 5_000_000
    layer = _convolution(run)
    done = call("explain", run.path, digit, "--layer", layer, "--channel", "2", "--out", tmp_path / "channel")
    assert f"channel 2 of {layer}" in (tmp_path / "channel" / "explain.html").read_text(), done.stderr
    assert "name the layer" in refused(call("explain", run.path, digit, "--channel", "2"))


def test_explain_in_python(run: Run, digit: Path, tmp_path: Path) -> None:
    found = convnet.explain(run, digit, methods=("grad-cam",))
    assert found.target_class == "6" and found.prediction.as_dict()["class"] == "6"
    assert found.unit.computed == pytest.approx(found.unit.value, abs=1e-4)
    maps = found.capture[found.layer.name]
    assert maps.gradient is not None and maps.gradient.shape == maps.output.shape
    softmax = found.capture["softmax"].output[0]
    assert float(softmax.sum()) == pytest.approx(1)
    with pytest.raises(ConvnetError, match="one image at a time"):
        convnet.explain(run, [digit, digit])  # type: ignore[arg-type]


def test_what_cannot_be_explained_is_one_message(run: Run, digit: Path, call: Cli, tmp_path: Path) -> None:
    layer = _convolution(run)
    cases = {
        ("--layer", layer[:-1] + "x"): "did you mean",
        ("--layer", layer, "--unit", "0,99,0"): "so units go from 0,0,0 to",
        ("--unit", "one"): "expected whole numbers, channel,row,column",
        ("--class", "eleven"): "no such class",
        ("--class", "²"): "no such class",
        ("--layer", "softmax", "--channel", "3"): "layer 'softmax' is no module",
        ("--layer", layer, "--channel", "99"): f"layer '{layer}' has",
        ("--method", "cam"): "no such method",
    }
    for options, message in cases.items():
        assert message in refused(call("explain", run.path, digit, *options))
    assert "no such file" in refused(call("explain", run.path, "nothing.png"))
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for name in ("run.json", "recipe.yaml", "data.json", "environment.json", "split.csv"):
        (unfinished / name).write_bytes((run.path / name).read_bytes())
    assert "not finished" in refused(call("explain", unfinished, digit))
    assert not list(tmp_path.glob("*-explain"))


def test_images_of_other_sizes_and_modes(run: Run, call: Cli, tmp_path: Path) -> None:
    sizes = {"RGB": (40, 30), "RGBA": (8, 8), "I;16": (20, 20), "P": (9, 5), "CMYK": (16, 16)}
    for mode, size in sizes.items():
        path = tmp_path / f"{mode.replace(';', '')}.{'tiff' if mode == 'CMYK' else 'png'}"
        Image.new(mode, size, 3).save(path)
        found = result_of(call("explain", run.path, path, "--json"))
        assert found["sum"] == pytest.approx(found["sum_of_products"], abs=1e-4)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Run, str]]]:
    """Runs of other tasks with a file for each."""
    root = tmp_path_factory.mktemp("others")
    scenes = convnet.train("unet-digit-scenes", epochs=1, out=root / "scenes", progress=False)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(root / "scene.png")
    table = convnet.train("tumours", epochs=3, out=root / "table", progress=False)
    rows = [",".join(table.columns), ",".join(["1"] * len(table.columns))]
    (root / "row.csv").write_text("\n".join(rows) + "\n")
    codes = convnet.train("autoencoder-digits", epochs=1, out=root / "codes", progress=False)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "digit.png")
    yield {
        "segmentation": (scenes, str(root / "scene.png")),
        "table": (table, str(root / "row.csv")),
        "codes": (codes, str(root / "digit.png")),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind, attributed", [("segmentation", True), ("table", False), ("codes", False)])
def test_other_tasks_show_what_applies(
    others: dict[str, tuple[Run, str]], kind: str, attributed: bool, call: Cli, tmp_path: Path
) -> None:
    other, file = others[kind]
    done = call("explain", other.path, file, "--out", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "page" / "explain.json").read_text())
    assert bool(found["attributions"]) is attributed
    assert found["sum"] == pytest.approx(found["sum_of_products"], abs=1e-3)
    if attributed:
        assert all(row["layer"] != "head" for row in found["attributions"]), "the output is no layer below it"
    if kind == "table":
        assert found["receptive_field"] is None and found["kind"] == "linear"
        rows = Path(file).read_text().splitlines()
        (tmp_path / "two.csv").write_text("\n".join([*rows, rows[-1]]) + "\n")
        assert "holds 2 samples" in refused(call("explain", other.path, tmp_path / "two.csv"))
    if not attributed:
        assert "--method applies to" in refused(call("explain", other.path, file, "--method", "saliency"))
    if not other.task.target.exclusive:
        for option, value in (("--against", other.path), ("--unknown", PHOTOS)):
            assert f"{option} applies to classifiers" in refused(call("evaluate", other.path, option, value))


def test_the_softmax_has_the_calibrated_probabilities(run: Run, digit: Path, call: Cli) -> None:
    assert run.calibration.temperature != 1
    found = result_of(call("explain", run.path, digit, "--layer", "softmax", "--json"))
    first = max(found["prediction"]["probabilities"].values())
    assert found["sum"] == pytest.approx(first, abs=1e-5)


def test_runs_are_compared_on_samples_that_neither_was_trained_on(
    mislabeled: tuple[Run, list[str]], call: Cli, tmp_path: Path
) -> None:
    run, _ = mislabeled
    data = run.recipe.data.source
    other = convnet.train(
        data, model="linear", weights=None, epochs=1, seed=1, out=tmp_path / "o", progress=False
    )
    found = result_of(call("evaluate", run.path, data, "--against", other.path, "--json"))["against"]
    assert found["trained_on"] == run.data["samples"]["train"] > 0
    assert found["samples"] == sum(run.data["samples"].values()) - found["trained_on"]
    assert "no such file or folder" in refused(call("evaluate", run.path, "--unknown", "digits"))


def test_evaluate_has_intervals_and_calibration(run: Run, call: Cli) -> None:
    found: dict[str, Any] = result_of(call("evaluate", run.path, "--json"))
    assert set(found) >= {
        "accuracy", "accuracy_interval", "top5", "balanced_accuracy", "loss", "ece", "ece_uncalibrated",
        "temperature", "unknown_threshold", "samples",
    }  # fmt: skip
    low, high = found["accuracy_interval"]
    assert low < found["accuracy"] < high and found["accuracy"] <= found["top5"]
    assert found["temperature"] == run.result["calibration"]["temperature"]
    assert 0.85 < found["accepted"] <= 1
    one = found["classes"]["3"]
    assert one["recall_interval"][0] <= one["recall"] <= one["recall_interval"][1]


def test_evaluate_against_another_run_and_unknown_images(run: Run, call: Cli, tmp_path: Path) -> None:
    weak = convnet.train("digits", model="linear", epochs=1, out=tmp_path / "weak", progress=False)
    options = ("--against", weak.path, "--unknown", PHOTOS, "--out", tmp_path / "page", "--json")
    found = result_of(call("evaluate", run.path, *options))
    against, unknown = found["against"], found["unknown_data"]
    changed = against["only_this_run"] - against["only_other_run"]
    assert changed == pytest.approx(against["difference"] * found["samples"])
    assert against["mcnemar_p"] < 0.05 and len(against["changes"]) >= changed
    assert unknown["samples"] == 20 and 0 <= unknown["auroc"] <= 1 and 0 <= unknown["rejected"] <= 1
    assert {row["corruption"] for row in found["robustness"]} >= {"none", "noise", "blur", "JPEG"}
    page = (tmp_path / "page" / "evaluation.html").read_text()
    for title in ("Robustness", "Embedding map", "Comparison with another run", "Unknown images"):
        assert f">{title}</h2>" in page
    other = convnet.train(PHOTOS, model="linear", weights=None, epochs=1, out=tmp_path / "photos")
    assert "its classes differ" in refused(call("evaluate", run.path, "--against", other.path))


def test_evaluation_on_one_class(tmp_path: Path, call: Cli) -> None:
    run = convnet.train(PHOTOS, model="linear", weights=None, epochs=1, out=tmp_path / "run")
    only = tmp_path / "only" / run.classes[0]
    only.parent.mkdir()
    only.symlink_to(PHOTOS.resolve() / run.classes[0], target_is_directory=True)
    done = call("evaluate", run.path, only.parent, "--out", tmp_path / "page", "--json")
    found = result_of(done)
    assert found["classes"][run.classes[1]]["recall"] is None
    assert "ROC and precision-recall" not in (tmp_path / "page" / "evaluation.html").read_text()


def test_predict_says_unknown(run: Run, digit: Path, call: Cli, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    pixels = (torch.from_numpy(load_digits().images[:40]) * 16).clamp(0, 255)
    for i, image in enumerate(scrambled(pixels[:, None].float())):
        Image.fromarray(image[0].byte().numpy()).save(tmp_path / f"strange-{i}.png")
    known, *strange = result_of(call("predict", run.path, digit, tmp_path / "strange-*.png", "--json"))
    assert known["unknown"] is False and sum(row["unknown"] for row in strange) >= 5
    for row in (known, *strange):
        assert row["unknown"] is (row["unknown_score"] < row["unknown_threshold"])
        assert sum(row["probabilities"].values()) == pytest.approx(1)
    first = next(row["image"] for row in strange if row["unknown"])
    assert "unknown (" in call("predict", run.path, first).stdout


@pytest.fixture(scope="module")
def mislabeled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """A run on digits as files, 4% of which are in the folder of another class."""
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("mislabeled")
    loaded, generator = load_digits(), np.random.default_rng(0)
    wrong = set(generator.choice(800, 32, replace=False).tolist())
    names = []
    for i in range(800):
        label = (loaded.target[i] + (1 + generator.integers(0, 9) if i in wrong else 0)) % 10
        path = root / "data" / str(label) / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((loaded.images[i] * 16).clip(0, 255).astype(np.uint8)).save(path)
        names += [f"{label}/{i:03}.png"] if i in wrong else []
    options: dict[str, Any] = {"model": "small-convnet", "weights": None, "preprocess": {"image_size": 8}}
    return convnet.train(root / "data", epochs=12, out=root / "run", progress=False, **options), names


@pytest.mark.slow
def test_wrong_labels_are_found_and_corrected(
    mislabeled: tuple[Run, list[str]], call: Cli, tmp_path: Path
) -> None:
    run, wrong = mislabeled
    found = result_of(call("review", run.path, "--out", tmp_path / "review", "--json"))["suspects"]
    hits = {row["path"] for row in found} & set(wrong)
    assert len(hits) >= 0.6 * len(wrong) and len(hits) >= 0.8 * len(found)
    doubts = [row["doubt"] for row in found]
    assert doubts == sorted(doubts, reverse=True) and 0.5 <= doubts[-1] <= doubts[0] <= 1
    suspects = tmp_path / "review" / "suspects.csv"
    assert ">Suspicious labels</h2>" in (tmp_path / "review" / "review.html").read_text()
    before = {path: path.read_bytes() for path in Path(run.recipe.data.source).rglob("*.png")}
    done = call("review", run.path, "--apply", suspects, "--out", tmp_path / "labels.csv")
    assert f"labels changed: {len(found):,}, images left out: 0" in done.stdout, done.stderr
    assert before == {path: path.read_bytes() for path in before}
    table = (tmp_path / "labels.csv").read_text().splitlines()
    rows = {row["path"]: row for row in csv.DictReader(table)}
    first = found[0]
    assert rows[str(Path(run.recipe.data.source) / first["path"])]["label"] == first["suggested"]
    options: dict[str, Any] = {"model": "linear", "weights": None, "epochs": 1}
    again = convnet.train(tmp_path / "labels.csv", out=tmp_path / "again", **options)
    assert again.data["samples"] == run.data["samples"]


@pytest.mark.slow
def test_corrections_that_cannot_be_applied(
    mislabeled: tuple[Run, list[str]], run: Run, call: Cli, tmp_path: Path
) -> None:
    table = tmp_path / "corrections.csv"
    for text, message in (
        ("path,label\nnothing.png,3\n", "nothing.png is not in"),
        (f"path,label\n{mislabeled[1][0]},eleven\n", "unknown class 'eleven'"),
        ("file,class\na,b\n", "needs the columns path and"),
        (f"path,label\n{mislabeled[1][0]},\n", "has no label; write its class, or remove"),
        ("", "needs the columns path and"),
    ):
        table.write_text(text)
        assert message in refused(call("review", mislabeled[0].path, "--apply", table))
    assert "no image files in a folder" in refused(call("review", run.path, "--apply", table))
    assert "No such file" in refused(call("review", mislabeled[0].path, "--apply", "none.csv"))
    assert not (tmp_path / "labels.csv").exists()


def test_a_learning_rate_is_found(call: Cli, tmp_path: Path) -> None:
    found = result_of(call("lr-find", "digits", "--steps", "60", "--json"))
    assert 1e-4 < found["suggested"] <= found["steepest"] < 1
    assert found["rates"] == sorted(found["rates"]) and (tmp_path / "lr-find.png").exists()
    assert not (tmp_path / "runs").exists()
    assert "fitted in one pass" in refused(call("lr-find", "digits", "--model", "knn"))


def test_a_dream(run: Run, call: Cli, tmp_path: Path) -> None:
    photo = next(iter(sorted(PHOTOS.rglob("*.jpg"))))
    options = ("--network", run.path, "--layer", _convolution(run), "--size", "48", "-o", "dream.png")
    done = call("dream", photo, *options)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "dream.png") as picture:
        assert max(picture.size) == 48
    assert "no layer 'nope'" in refused(call("dream", photo, "--network", run.path, "--layer", "nope"))
