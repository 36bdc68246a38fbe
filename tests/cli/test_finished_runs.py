"""The commands that read finished runs: predict, evaluate, runs, compare, summary."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

import convnet
from convnet.errors import DataError
from tests.conftest import PHOTOS, Cli, refused, result_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the same recipe and one with another rate."""
    root = tmp_path_factory.mktemp("runs")
    for name, lr, seed in (("a", 0.1, 0), ("b", 0.1, 1), ("c", 0.01, 0)):
        options: dict[str, Any] = {"optimizer.lr": lr, "seed": seed, "preprocess.image_size": 16}
        convnet.train(str(PHOTOS), **options, model="linear", epochs=1, out=root / name, progress=False)
    return root


def photos() -> list[Path]:
    return sorted(PHOTOS.rglob("*.jpg"))


def test_files_to_predict(call: Cli, runs: Path, tmp_path: Path) -> None:
    """A folder, a pattern, an archive and a table stand for the same images."""
    archive, table = tmp_path / "photos.zip", tmp_path / "photos.csv"
    with zipfile.ZipFile(archive, "w") as file:
        for path in photos():
            file.write(path, path.relative_to(PHOTOS))
    table.write_text("path\n" + "".join(f"{path}\n" for path in photos()))
    found = []
    for source in (PHOTOS, PHOTOS / "*" / "*.jpg", archive, table):
        rows = result_of(call("predict", runs / "a", source, "--json"))
        found.append(sorted((Path(row["image"]).name, row["class"]) for row in rows))
    assert len(found[0]) == len(photos()) and all(rows == found[0] for rows in found)
    assert "matches no file" in refused(call("predict", runs / "a", tmp_path / "*.gif"))


def test_a_table_and_a_page_of_predictions(call: Cli, runs: Path, tmp_path: Path) -> None:
    rows = {row["image"]: row for row in result_of(call("predict", runs / "a", PHOTOS, "--json"))}
    outputs = "--out", "found.csv", "--page", "found.html"
    assert "20 predictions" in call("predict", runs / "a", PHOTOS, *outputs).stdout
    call("predict", runs / "a", PHOTOS, "--out", "found.parquet")
    with (tmp_path / "found.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    columns = pyarrow.parquet.read_table(tmp_path / "found.parquet").to_pylist()
    for row, column in zip(written, columns, strict=True):
        expected = rows[row["file"]]
        assert row["class"] == column["class"] == expected["class"]
        for name, share in expected["probabilities"].items():
            assert float(row[f"p({name})"]) == pytest.approx(share) == column[f"p({name})"]
    page = (tmp_path / "found.html").read_text()
    assert page.count("data:image/") >= 20 and "http" not in page.replace("http://www.w3.org", "")
    assert "pass a .csv or .parquet" in refused(call("predict", runs / "a", PHOTOS, "--out", "found.xlsx"))


def test_pixels_to_predict(runs: Path) -> None:
    """Arrays, PIL images and files of the same pixels have the same prediction."""
    run, path = convnet.load_run(runs / "a"), photos()[0]
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        found = [*run.predict([Image.fromarray(pixels), pixels, pixels / 255.0])]
        found += run.predict(np.stack([pixels, pixels]))
    shares = [list(prediction.as_dict()["probabilities"].values()) for prediction in found]
    assert len(found) == 5 and np.allclose(shares, shares[0], atol=1e-6)
    for wrong in ([np.zeros(5)], 5, None):
        with pytest.raises(DataError, match="expected a path, a PIL image or an array"):
            run.predict(wrong)
    with pytest.raises(DataError, match="integers from 0 to 70000"):
        run.predict(np.full((8, 8), 70000))


def test_pixels_of_every_type_and_layout(runs: Path) -> None:
    run, path = convnet.load_run(runs / "a"), photos()[0]
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    tensor = torch.tensor(pixels)
    forms = [pixels.astype(kind) for kind in ("int64", "int32", "uint16")]
    forms += [tensor, tensor.permute(2, 0, 1), tensor[None], tensor / 255]
    expected = run.predict(pixels)[0].as_dict()["probabilities"]
    for form in forms:
        (found,) = run.predict(form)
        assert found.as_dict()["probabilities"] == pytest.approx(expected, abs=1e-6)


def test_a_photo_in_memory_is_turned_and_transparent_as_in_its_file(runs: Path, tmp_path: Path) -> None:
    run = convnet.load_run(runs / "a")
    photo, exif = Image.open(photos()[0]), Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    clear.save(tmp_path / "clear.png")
    for path in (tmp_path / "turned.jpg", tmp_path / "clear.png"):
        (file,), (memory,) = run.predict(path), run.predict(Image.open(path))
        assert memory.as_dict()["probabilities"] == pytest.approx(file.as_dict()["probabilities"], abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_gray_images_in_an_array(tmp_path: Path, count: int) -> None:
    """N×H×W, whatever N is."""
    run = convnet.train("digits", model="linear", epochs=1, out=tmp_path / "run", progress=False)
    images = convnet.open_data("digits").read(torch.arange(count)).images[:, 0].numpy()
    together = [found.as_dict()["class"] for found in run.predict(images)]
    assert together == [run.predict(image)[0].as_dict()["class"] for image in images]


def test_a_pattern_of_folders_and_a_table_of_numbers(call: Cli, runs: Path, tmp_path: Path) -> None:
    one = call("predict", runs / "a", PHOTOS / "*").stdout.splitlines()
    assert len(one) == len(call("predict", runs / "a", PHOTOS / "**").stdout.splitlines()) == len(photos())
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n")
    assert "no column names image files" in refused(call("predict", runs / "a", "numbers.csv"))


def test_an_evaluation_in_files(call: Cli, runs: Path, tmp_path: Path) -> None:
    printed = result_of(call("evaluate", runs / "a", PHOTOS, "--out", "found", "--json"))
    written = json.loads((tmp_path / "found" / "evaluation.json").read_text())
    with (tmp_path / "found" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert written == printed and len(rows) == written["samples"] == len(photos())
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert written["accuracy"] == pytest.approx(right / len(rows))
    assert 0 < written["trained_on"] < len(rows)
    seen, unseen = written["samples"], written["not_trained_on"]["samples"]
    assert unseen == seen - written["trained_on"]
    assert any(path.suffix == ".html" for path in (tmp_path / "found").iterdir())


def test_runs_are_listed(call: Cli, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    shutil.copytree(runs / "a", tmp_path / "runs" / "unfinished")
    (tmp_path / "runs" / "unfinished" / "result.json").unlink()
    shutil.copytree(runs / "a", tmp_path / "runs" / "damaged")
    (tmp_path / "runs" / "damaged" / "run.json").write_text("{")
    rows = {row["name"]: row for row in result_of(call("runs", "--json"))}
    assert set(rows) == {"a", "b", "c", "unfinished", "damaged"}
    result = convnet.load_run(runs / "a").result
    held_out = result["test"] or result["val"]
    assert rows["a"]["score"] == held_out["accuracy"] and rows["a"]["state"] == "finished"
    assert rows["unfinished"]["state"] == "unfinished" and rows["damaged"]["state"].startswith("damaged: ")
    assert len(call("runs").stdout.splitlines()) == 6
    by_score = result_of(call("runs", "--sort", "score", "--json"))
    scores = [row["score"] for row in by_score if row["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    assert "no such folder" in refused(call("runs", "nowhere"))


def test_runs_are_compared(call: Cli, runs: Path, tmp_path: Path) -> None:
    """Runs that differ only by their seed are one variant, named by what differs from the others."""
    found = result_of(call("compare", runs / "a", runs / "b", runs / "c", "--json"))
    seeds = {row["variant"]: row["seeds"] for row in found["variants"]}
    assert seeds == {"optimizer.lr=0.1": 2, "optimizer.lr=0.01": 1}
    assert [row["best"] for row in found["variants"]] == [True, False]
    assert Path(found["page"]).parent == tmp_path / "runs" / "compare-1"
    again = result_of(call("compare", runs / "a", runs / "b", runs / "c", "--json"))
    other = result_of(call("compare", runs / "a", runs / "c", "--json"))
    assert again["page"] == found["page"] and Path(other["page"]).parent.name == "compare-2"
    assert "name two or more runs" in refused(call("compare", runs / "a"))
    assert "named twice" in refused(call("compare", runs / "a", runs / "b", runs / "a"))
    printed = call("compare", runs / "a", runs / "b", runs / "c").stdout.splitlines()
    assert printed[0].split()[-1] == "seeds" and [line.split()[-1] for line in printed[1:3]] == ["2", "1"]


def test_variants_have_folders_of_their_own(call: Cli, tmp_path: Path) -> None:
    """A second comparison of the same recipe does not mix with the first."""
    common = "compare", "circles", "--model", "linear", "--epochs", "1", "--json"
    first = result_of(call(*common, "--vary", "optimizer=adam,sgd"))
    other = result_of(call(*common, "--vary", "batch_size=16,32"))
    again = result_of(call(*common, "--vary", "optimizer=adam,sgd"))
    folders = [Path(found["page"]).parent for found in (first, other, again)]
    assert folders[0] == folders[2] != folders[1]
    names = {path.name for path in folders[0].iterdir() if path.is_dir()}
    assert names == {"optimizer=adam-seed0", "optimizer=sgd-seed0"}
    held = refused(call(*common, "--vary", "batch_size=16,32", "--out", folders[0]))
    assert "holds another comparison" in held


def test_a_summary_of_a_run(call: Cli, runs: Path) -> None:
    shown = call("summary", runs / "a").stdout
    parameters = sum(p.numel() for p in convnet.load_run(runs / "a").model.parameters())
    assert f"{parameters:,} parameters" in shown


def test_options_are_short_for_fields(call: Cli, tmp_path: Path) -> None:
    options = "--lr", "0.02", "--image-size", "12", "--augment", "light", "--quiet"
    done = call("train", PHOTOS, "--model", "linear", "--epochs", "1", *options, "--out", "run")
    recipe = convnet.load_run(tmp_path / "run").recipe
    assert recipe.optimizer.options["lr"] == 0.02 and recipe.preprocess.image_size == 12
    assert done.returncode == 0 and "epoch" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--lr", 0.1, "--set", "lr=0.2"),
        ("--lr", 0.1, "--set", "optimizer.lr=0.2"),
        ("--set", "lr=0.1", "--set", "optimizer.lr=0.2"),
    ],
)
def test_a_field_is_set_once(call: Cli, options: tuple[object, ...]) -> None:
    done = call("train", "digits", "--model", "linear", *options)
    assert "optimizer.lr' is set to 0." in (said := refused(done)) or "'lr' is set to 0." in said
    same = [0.1 if word == 0.2 else str(word).replace("0.2", "0.1") for word in options]
    assert call("train", "digits", "--model", "linear", "--epochs", 1, *same).returncode == 0


def test_the_cache_is_listed_and_cleared(call: Cli, tmp_path: Path) -> None:
    for name in ("kept", "deleted"):
        shutil.copytree(PHOTOS, tmp_path / name)
        call("train", name, "--model", "linear", "--epochs", "1", "--out", f"run-{name}")
    shutil.rmtree(tmp_path / "deleted")
    before = result_of(call("cache", "list", "--json"))
    stale = [entry for entry in before if entry["stale"]]
    assert stale and len(stale) < len(before)
    assert f"deleted {len(stale)} caches" in call("cache", "clear").stdout
    after = result_of(call("cache", "list", "--json"))
    assert [e["name"] for e in after] == [e["name"] for e in before if not e["stale"]]


def test_checkpoints_of_finished_runs(call: Cli, tmp_path: Path) -> None:
    common = "train", "circles", "--model", "linear", "--epochs", "1"
    call(*common, "--out", "plain")
    call(*common, "--out", "kept", "--keep-checkpoints")
    names = {run: {p.name for p in (tmp_path / run).rglob("*") if p.is_file()} for run in ("plain", "kept")}
    assert names["plain"] < names["kept"]
    assert all(convnet.load_run(tmp_path / run).model for run in names)
    assert call("resume", "kept", "--epochs", "2").returncode == 0
    assert "--keep-checkpoints" in refused(call("resume", "plain", "--epochs", "2"))
