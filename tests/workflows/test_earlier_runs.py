"""Runs that were written before layers had names: they open, evaluate, predict, resume and report."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import convnet
from convnet.workflows import Run, load_run

RUNS = Path(__file__).parent.parent / "data" / "runs"
SCORES = {"classification": "accuracy", "segmentation": "pixel_accuracy", "series": "accuracy"}


@pytest.fixture(params=sorted(SCORES))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    shutil.copytree(RUNS / request.param, tmp_path / request.param)
    return load_run(tmp_path / request.param)


def test_an_earlier_run_evaluates_to_what_it_recorded(run: Run) -> None:
    score = SCORES[run.path.name]
    found = run.evaluate()
    assert found.scores()[score] == pytest.approx(run.result["test"][score], abs=2e-3)
    assert found.loss == pytest.approx(run.result["test"]["loss"], rel=1e-2)


def test_an_earlier_run_resumes_and_reports(run: Run) -> None:
    epochs = run.recipe.epochs
    longer = convnet.workflows.resume(run.path, epochs=epochs + 1)
    assert len(longer.metrics) == epochs + 1
    last, before = longer.metrics[-1], longer.metrics[-2]
    assert last["train_loss"] < before["train_loss"]
    assert (run.path / "report.html").exists()


def test_the_report_of_an_earlier_run_has_probabilities_if_its_data_is_there(tmp_path: Path) -> None:
    """Earlier versions stored the predicted classes only."""
    shutil.copytree(RUNS / "classification", tmp_path / "run")
    run = load_run(tmp_path / "run")
    page = run.report().read_text()
    assert "Reliability" in page and (run.path / "predictions.npz").exists()
    with np.load(run.path / "predictions.npz") as arrays:
        predicted = arrays["test_logits"].argmax(1)
        accuracy = (predicted == arrays["test_targets"]).mean()
    assert accuracy == pytest.approx(run.result["test"]["accuracy"], abs=2e-3)


def test_an_earlier_run_predicts_what_it_recorded(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "classification", tmp_path / "run")
    run, digits = load_run(tmp_path / "run"), convnet.open_data("digits")
    with (run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = digits.read(torch.tensor([int(row["index"]) for row in rows])).images
    with torch.no_grad():
        predicted = [run.classes[k] for k in run.model(images).argmax(1).tolist()]
    same = sum(now == row["predicted"] for now, row in zip(predicted, rows, strict=True))
    assert same >= 0.99 * len(rows) and len(set(predicted)) > 2


def test_an_earlier_run_serves_as_pretrained_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="convnet"):
        convnet.train(
            "digits",
            out=tmp_path / "tuned",
            epochs=2,
            model={"name": "small-convnet", "width": 4},
            weights={"source": str(RUNS / "classification")},
        )
    (line,) = (message for message in caplog.messages if message.startswith("weights of"))
    assert "new: classifier.bias, classifier.weight" in line and "loaded" in line
