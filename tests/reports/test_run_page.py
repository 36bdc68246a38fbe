"""The report of a run, parsed: its sections, its tables, its pictures, and no address outside it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convnet
from convnet.errors import RunError
from convnet.workflows import Run
from tests.conftest import PHOTOS
from tests.reports.page import Page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("report") / "run"
    return convnet.train(
        PHOTOS,
        out=out,
        epochs=2,
        batch_size=4,
        preprocess={"image_size": 32},
        split={"val": 0.3, "test": 0.3},
    )


def test_the_sections_of_a_report(run: Run) -> None:
    page = Page((run.path / "report.html").read_text())
    assert page.headings == [
        *(["Diagnosis"] if run.result["diagnosis"] else []),
        "Pretrained weights",
        "Baselines on the same split",
        "Training curves",
        "Training images",
        "Confusion matrix",
        *(["Most confused classes"] if run.result["test"]["accuracy"] < 1 else []),
        "Metrics of each class",
        "ROC and precision-recall curves",
        "Calibration",
        "Misclassified images",
        "Images with the highest loss",
        "Least certain images",
        "How to reproduce this run",
    ]
    stages = 1 if run.result["head"]["kept"] else 2
    epochs, classes = 2, 2
    assert page.rows[:3] == [1 + stages, 1 + epochs, 1 + classes]


def test_the_resize_policies_of_several_classes_are_shown_where_they_differ(run: Run, tmp_path: Path) -> None:
    text = (run.path / "report.html").read_text()
    titles = re.findall(r"<h3>(Resized by .*?)</h3>", text)
    assert titles == ["Resized by crop, used here", "Resized by stretch", "Resized by letterbox"]
    assert set(re.findall(r"<figcaption>(\w+)</figcaption>", text)) == set(run.classes)
    for i in range(20):
        path = tmp_path / "squares" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    squares = convnet.train(tmp_path / "squares", model="linear", epochs=1, out=tmp_path / "run")
    assert "Resized by" not in (squares.path / "report.html").read_text()


def test_a_report_needs_nothing_from_outside(run: Run) -> None:
    text = (run.path / "report.html").read_text()
    assert all(address.startswith(("data:", "#")) for address in Page(text).addresses)
    assert not re.search(r"url\((?!data:)|https?://(?!www\.w3\.org)", text)


def test_the_report_is_a_view_of_the_folder(run: Run) -> None:
    """Its table of classes is that of predictions.npz, which agrees with predictions.csv."""
    with np.load(run.path / "predictions.npz") as arrays:
        predicted, targets = arrays["test_logits"].argmax(1), arrays["test_targets"]
        indices = arrays["test_indices"]
    with (run.path / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    assert [int(row["index"]) for row in rows] == indices.tolist()
    assert [row["predicted"] for row in rows] == [run.classes[i] for i in predicted]
    assert [row["class"] for row in rows] == [run.classes[i] for i in targets]
    once = run.report().read_bytes()
    assert run.report().read_bytes() == once and b"Robustness</h2>" in once


def test_a_report_without_the_data_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = (run.path / "recipe.yaml").read_text()
    moved = recipe.replace(str(PHOTOS.resolve()), "/nowhere")
    (run.path / "recipe.yaml").write_text(moved)
    try:
        text = convnet.load_run(run.path).report().read_text()
    finally:
        (run.path / "recipe.yaml").write_text(recipe)
        convnet.load_run(run.path).report()  # other tests read it, in any order
    assert "The data was not found at its recorded location" in text


@pytest.mark.parametrize("index", ["-1", "20", "1000000000"])
def test_predictions_of_samples_that_there_are_not(run: Run, index: str) -> None:
    table = run.path / "predictions.csv"
    sound = table.read_text()
    lines = sound.splitlines()
    column = lines[0].split(",").index("index")
    cells = lines[1].split(",")
    table.write_text("\n".join([lines[0], ",".join([*cells[:column], index, *cells[column + 1 :]]), ""]))
    try:
        with pytest.raises(RunError, match=rf"predictions.csv: damaged: the data has no sample {index}"):
            run.report()
    finally:
        table.write_text(sound)


def test_the_pages_of_an_audit(tmp_path: Path) -> None:
    from convnet.reports.audit_page import write_audit_page

    found = convnet.audit(PHOTOS, check_labels=False)
    page = Page(write_audit_page(tmp_path / "audit.html", found).read_text())
    assert page.headings[0] == "Classes" and page.rows[0] == 2
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
