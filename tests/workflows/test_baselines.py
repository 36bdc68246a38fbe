"""Runs of models that are fitted, the table of baselines, retrieval and the plane."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

import convnet
from convnet.data import TensorDataset, open_data
from convnet.device import Compute
from convnet.errors import ConvnetError, DataError, ModelError, RecipeError, RunError
from convnet.features import Features
from convnet.features.visual_words import VisualWords
from convnet.layers import Standardize
from convnet.recipes import build, default_recipe, override
from convnet.runs import split_fingerprint
from convnet.training import Event, StepEnd
from convnet.workflows import baselines, plane, retrieve
from convnet.workflows import train as train_recipe
from convnet.workflows.baseline_sizes import neighbors_within, words_within

WORDS = "visual-words(words=30, patch_size=3, patches=2000)+hog -> linear"


def small(patch: pytest.MonkeyPatch, epochs: int) -> None:
    """Small models whatever the speed of the machine, instead of what fits into the time limit."""
    module = importlib.import_module("convnet.workflows.baselines")
    patch.setattr(module, "epochs_within", lambda *_: epochs)
    patch.setattr(module, "neighbors_within", lambda *_: None)
    patch.setattr(module, "words_within", lambda *_: "visual-words(words=20, patch_size=2)")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[convnet.Baselines, Path]:
    with pytest.MonkeyPatch.context() as patch:
        small(patch, epochs=2)
        return baselines("digits", out=tmp_path_factory.mktemp("b") / "digits-baselines")


def test_the_table_of_baselines(table: tuple[convnet.Baselines, Path]) -> None:
    found, folder = table
    assert len(found.rows) == 9
    best = max(row.accuracy for row in found.rows)
    assert best > 0.97
    assert {row.name for row in found.rows} >= {"majority class", "softmax, pixels", "SVM, color + HoG"}
    for row in found.rows:
        assert row.test_interval is not None
        assert row.test_accuracy is not None
        low, high = row.test_interval
        assert low < row.test_accuracy < high
        run = convnet.load_run(folder / row.run)
        assert run.evaluate().accuracy == pytest.approx(row.test_accuracy)
        assert row.bytes == (folder / row.run / "model.safetensors").stat().st_size
        assert split_fingerprint(run.folder.read("split.csv")) == found.split
    stored = json.loads((folder / f"baselines-{found.split[:8]}.json").read_text())
    assert set(found.public()["rows"][0]) == set(stored["rows"][0]) - {"run"}


def test_a_later_run_shows_them_and_another_split_does_not(
    table: tuple[convnet.Baselines, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, folder = table
    run = convnet.train("digits", epochs=1, out=folder.parent / "run")
    assert run.baselines == found
    page = (run.path / "report.html").read_text()
    assert "SVM, color + HoG" in page
    assert "small-convnet, this run" in page
    other = convnet.train("digits", epochs=1, split={"seed": 3}, out=folder.parent / "other")
    assert other.baselines is None
    assert "convnet baselines digits" in (other.path / "report.html").read_text()
    small(monkeypatch, epochs=3)
    again, _ = baselines("digits", out=folder)
    assert again.split == found.split
    trained_again = {row.name for row in again.rows if row.run.endswith("-2")}
    assert trained_again == {
        row.name for row in found.rows if row.name.startswith(("softmax,", "SVM,", "MLP"))
    } - {"softmax, visual words"}


def test_only_what_all_share_can_be_set(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'optimizer\.lr' is not common to all baselines"):
        baselines("digits", overrides={"optimizer.lr": 1}, out=tmp_path / "b")


def test_what_fits_into_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.workflows.baseline_sizes._seconds", lambda work: 0.5)
    dataset = open_data("digits")
    vectors = dataset.images.flatten(1).float()
    assert neighbors_within(vectors, 1000, 100, 60.0) is None
    assert neighbors_within(vectors, 10**7, 1000, 1.0) == 2 * 1024 * len(vectors) // 1000
    assert "words=20" in words_within(dataset, 1400, 1e-9)
    many = words_within(dataset, 1400, 1e9)
    assert "words=800" in many and "patch_size=2" in many


def test_a_pipeline_is_computed_once_and_evaluates_like_the_whole_network() -> None:
    recipe = override(default_recipe("digits", WORDS), {"epochs": 2})
    setup = build(recipe, Compute(precision="fp32"))
    assert isinstance(setup.front[1], Features)
    assert len(setup.inputs.images) == len(setup.dataset)
    images = setup.dataset.images[:7]
    expected = setup.front(images)
    torch.testing.assert_close(setup.inputs.images[:7], expected, rtol=1e-4, atol=1e-4)
    augmented = override(recipe, {"augment.shift": 1})
    assert not len(build(augmented, Compute(precision="fp32")).front)


@pytest.mark.parametrize("extra", [{}, {"augment.shift": 1, "ema": 0.9}])
def test_an_interrupted_pipeline_goes_on_with_what_it_had_learned(
    tmp_path: Path, extra: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(default_recipe("digits", WORDS), {"epochs": 3, **extra})
    whole = train_recipe(recipe, tmp_path / "whole")

    class CutError(Exception):
        pass

    def cut(event: Event) -> None:
        if isinstance(event, StepEnd) and event.step == 60:
            raise CutError

    with pytest.raises(CutError):
        train_recipe(recipe, tmp_path / "cut", listeners=[cut])

    def refuse(*_: object) -> None:
        raise AssertionError("fitted again")

    for kind in (VisualWords, Standardize):
        monkeypatch.setattr(kind, "fit", refuse)
    resumed = convnet.workflows.resume(tmp_path / "cut")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    assert resumed.result["test"] == whole.result["test"]


def test_learning_in_one_pass(tmp_path: Path) -> None:
    run = convnet.train("digits", model="knn", out=tmp_path / "k")
    assert run.result["epochs"] == 0
    assert run.result["train"] is None
    assert run.result["test"]["accuracy"] > 0.97
    assert run.evaluate().accuracy == run.result["test"]["accuracy"]
    page = (run.path / "report.html").read_text()
    assert "fitting, one pass" in page
    assert (run.path / "figures" / "neighbors.png").exists()
    with pytest.raises(RunError, match="fitted in one pass; --epochs does not apply"):
        convnet.workflows.resume(run.path, epochs=3)
    assert convnet.load_run(run.path).result == run.result
    reproduced = convnet.train(run.path / "recipe.yaml", out=tmp_path / "again")
    assert reproduced.result["test"] == run.result["test"]


def test_models_without_curves_are_compared(tmp_path: Path) -> None:
    compared = convnet.compare("digits", {"model.k": [1, 9]}, model="knn", out=tmp_path / "c")
    assert [row["train.loss"] for row in compared.summary] == [None, None]
    assert compared.page.exists()


@pytest.mark.parametrize(
    ("model", "overrides", "error", "message"),
    [
        ("knn", {"model.k": 2000}, ModelError, "k=2000 exceeds the 1,458 training samples"),
        ("knn", {"split.val": 0.0}, ModelError, "validation split, which is empty"),
        ("knn", {"epochs": 3}, RecipeError, "epochs=3 does not apply: model 'knn' is fitted in one pass"),
        ("knn", {"optimizer": "sgd"}, RecipeError, "optimizer does not apply: epochs is 0"),
        ("knn", {"optimizer.lr": 0.5}, RecipeError, "optimizer does not apply: epochs is 0"),
        ("knn", {"batch_size": 7}, RecipeError, "batch_size does not apply: epochs is 0"),
        ("linear", {"epochs": 0}, RecipeError, "does not apply: epochs is 0"),
        (
            "hog -> linear",
            {"preprocess.normalize": "channel"},
            RecipeError,
            "features take pixels in the range 0…1",
        ),
        ("hog(cell_size=5) -> linear", {}, ModelError, "at least 10×10 pixels"),
        (
            "visual-words(words=900, patches=800) -> linear",
            {},
            ModelError,
            "900 words are too many for patches=800",
        ),
    ],
)
def test_what_cannot_be_learned_leaves_nothing_behind(
    tmp_path: Path, model: str, overrides: dict[str, object], error: type[ConvnetError], message: str
) -> None:
    with pytest.raises(error, match=message):
        recipe = override(default_recipe("digits", model), overrides)
        train_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_of_one_image(picture_folder: Path, tmp_path: Path) -> None:
    lonely = picture_folder / "green"
    lonely.mkdir()
    (picture_folder / "red" / "0.jpg").rename(lonely / "only.jpg")
    run = convnet.train(str(picture_folder), model="linear", epochs=1, out=tmp_path / "out")
    rows = run.folder.read("split.csv").splitlines()
    assert [row.split(",")[1] for row in rows if "only.jpg" in row] == ["train"]
    assert any(line.startswith("1 of 3 classes have too few samples") for line in run.data["warnings"])


def test_retrieval_finds_the_image_itself_first(picture_folder: Path, tmp_path: Path) -> None:
    run = convnet.train(
        str(picture_folder),
        model="color -> linear",
        epochs=2,
        preprocess={"image_size": 32},
        out=tmp_path / "r",
    )
    image = picture_folder / "blue" / "1.png"
    for space in ("embedding", "features", "pixels"):
        for metric in ("l1", "l2", "cosine"):
            found = retrieve(run, str(image), top=5, space=space, metric=metric)  # type: ignore[arg-type]
            assert len(found.matches) == 5
            assert found.matches[0].path == str(image)
            assert found.matches[0].distance == pytest.approx(0, abs=1e-3)
            distances = [m.distance for m in found.matches]
            assert distances == sorted(distances)
    assert {m.label for m in retrieve(run, str(image), top=8, space="features").matches} == {"blue"}
    found.draw(tmp_path / "nearest.png")
    assert (tmp_path / "nearest.png").read_bytes().startswith(b"\x89PNG")
    network = convnet.train(str(picture_folder), epochs=1, preprocess={"image_size": 32}, out=tmp_path / "n")
    assert retrieve(network, str(image)).matches[0].path == str(image)
    with pytest.raises(RecipeError, match="computes no features"):
        retrieve(network, str(image), space="features")
    by_place = retrieve(network, "blue/1.png")
    assert by_place.matches[0].path == str(image)


@pytest.mark.slow
def test_the_plane(tmp_path: Path) -> None:
    """M04: what no line separates, polar coordinates do; M09: capacity."""
    out = tmp_path / "p.png"
    models = plane(
        "circles", overrides={"epochs": 40}, vary={"model": ["linear", "polar -> linear"]}, warp=True, out=out
    )
    assert [m.accuracy > 0.9 for m in models] == [False, True]
    assert out.read_bytes().startswith(b"\x89PNG")
    models = plane(
        "corner",
        overrides={"model.hidden": [2], "epochs": 60},
        vary={"model.activation": ["identity", "relu"]},
        warp=True,
        out=out,
    )
    assert models[0].accuracy < 0.97 < models[1].accuracy
    sizes = plane("spiral", vary={"model.hidden": [[3], [20]]}, overrides={"epochs": 60}, out=out)
    assert sizes[0].accuracy < sizes[1].accuracy
    neighbors = plane("moons", overrides={"model": "knn"}, vary={"model.k": [1, 15]}, out=out)
    assert min(m.accuracy for m in neighbors) > 0.85
    with pytest.raises(RecipeError, match="--warp needs a hidden layer of 2 units, got 32"):
        plane("moons", overrides={"epochs": 1}, warp=True, out=out)
    with pytest.raises(DataError, match="a plane has two columns"):
        plane("tumours", overrides={"epochs": 1}, out=out)


def test_a_table_from_training_to_prediction(tmp_path: Path) -> None:
    """M11: the same loop, standardized columns, a report with a ROC, and rows predicted."""
    dataset = open_data("tumours")
    rows = dataset.images.flatten(1)
    path = tmp_path / "cells.csv"
    lines = [",".join([*dataset.info.columns, "diagnosis"])]
    lines += [
        ",".join([*(str(v) for v in row), dataset.info.classes[int(t)]])
        for row, t in zip(rows.tolist(), dataset.targets, strict=True)
    ]
    path.write_text("\n".join(lines))
    run = convnet.train(str(path), model="linear", out=tmp_path / "t")
    assert run.result["test"]["accuracy"] > 0.9
    assert (run.path / "figures" / "roc.svg").exists()
    assert "precision" in (run.path / "report.html").read_text()
    curve = run.evaluate().roc()
    assert curve is not None and curve[2] > 0.97
    assert run.evaluate(str(path)).accuracy > 0.95
    unlabeled = tmp_path / "new.csv"
    unlabeled.write_text("\n".join(line.rpartition(",")[0] for line in lines[:4]))
    predictions = run.predict([unlabeled])
    assert [p.location for p in predictions] == ["new.csv:2", "new.csv:3", "new.csv:4"]
    assert sum(predictions[0].probabilities) == pytest.approx(1)
    unlabeled.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has no column 'mean radius'"):
        run.predict([unlabeled])


def test_sources_of_images_and_of_rows_say_what_they_are() -> None:
    assert isinstance(open_data("moons"), TensorDataset)
    assert (open_data("moons").info.modality, open_data("digits").info.modality) == ("table", "images")
    with pytest.raises(DataError, match="image_size and channels do not apply"):
        convnet.train("moons", preprocess={"image_size": 8})
    with pytest.raises(RecipeError, match="augment does not apply"):
        convnet.train("moons", augment={"flip": True})
