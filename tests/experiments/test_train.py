from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convnet
from convnet.errors import DataError, DivergedError, InterruptedRunError, RecipeError, RunError
from convnet.experiments import Run, resume
from convnet.training import Event, StepEnd

FAST = {"model": "mlp", "schedule": "constant"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The default job, on the bundled digits."""
    return convnet.train("digits", out=tmp_path_factory.mktemp("runs") / "digits", epochs=8)


def test_the_run_folder_holds_what_the_design_says(run: Run) -> None:
    names = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file() and p.name != ".lock"}
    pictures = ("augmented", "confusion", "curves", "samples", "steps")
    assert names - {"figures/mistakes.png"} == {
        "recipe.yaml",
        "environment.json",
        "data.json",
        "split.csv",
        "metrics.csv",
        "steps.csv",
        "checkpoints/last.safetensors",
        "model.safetensors",
        "predictions.csv",
        "result.json",
        "report.html",
        "run.json",
        *(f"figures/{name}.png" for name in pictures),
    }
    assert run.result["test"]["accuracy"] > 0.9
    assert run.result["parameters"] == 65_834
    assert [row["epoch"] for row in run.metrics] == list(range(1, 9))


def test_the_report_needs_nothing_from_outside(run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/png;base64,") >= 5
    assert f"{run.result['test']['accuracy']:.2%}" in page


def test_predictions_trace_to_their_samples(run: Run) -> None:
    with (run.path / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert right / len(rows) == run.result["test"]["accuracy"]
    assert all(row["sample"] == f"digits[{row['index']}]" for row in rows)


def test_evaluate_repeats_the_result(run: Run) -> None:
    again = convnet.load_run(run.path)
    found = again.evaluate()
    assert found.accuracy == run.result["test"]["accuracy"]
    assert found.loss == pytest.approx(run.result["test"]["loss"], rel=1e-6)
    assert again.evaluate(split="val").accuracy == run.result["val"]["accuracy"]
    assert len(again.evaluate("digits").targets) == 1797
    with pytest.raises(DataError, match="digits has no test split"):
        again.evaluate("digits", split="test")


def test_predict_reads_picture_files(run: Run, tmp_path: Path) -> None:
    source = convnet.open_data("digits")
    for i in range(10):
        Image.fromarray(source.images[i, 0].numpy()).save(tmp_path / f"{i}.png")
    predictions = run.predict(sorted(tmp_path.iterdir()))
    right = sum(p.classes[0] == source.classes[source.targets[i]] for i, p in enumerate(predictions))
    assert right >= 9
    assert sum(predictions[0].probabilities) == pytest.approx(1, abs=1e-5)
    assert list(predictions[0].probabilities) == sorted(predictions[0].probabilities, reverse=True)


def test_the_stored_recipe_reproduces_the_run(run: Run, tmp_path: Path) -> None:
    again = convnet.train(run.path / "recipe.yaml", out=tmp_path / "again")
    assert (again.path / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()
    assert (again.path / "steps.csv").read_text() == (run.path / "steps.csv").read_text()


def test_training_for_longer_is_like_having_trained_longer(tmp_path: Path) -> None:
    long = convnet.train("digits", out=tmp_path / "long", epochs=4, **FAST)
    convnet.train("digits", out=tmp_path / "short", epochs=2, **FAST)
    extended = resume(tmp_path / "short", epochs=4)
    assert (extended.path / "model.safetensors").read_bytes() == (
        long.path / "model.safetensors"
    ).read_bytes()
    assert extended.result["epochs"] == 4
    with pytest.raises(RunError, match="would shorten it"):
        resume(tmp_path / "short", epochs=1)
    assert resume(tmp_path / "short").result == extended.result


def test_early_stopping_returns_to_the_best_epoch(tmp_path: Path) -> None:
    stopped = convnet.train(
        "digits", out=tmp_path / "r", epochs=60, model="mlp", optimizer={"name": "adam", "lr": 0.05},
        schedule="constant", early_stopping={"patience": 2},
    )  # fmt: skip
    losses = [row["val_loss"] for row in stopped.metrics]
    best = int(np.argmin(losses))  # type: ignore[arg-type]
    assert len(losses) == best + 1 + 3 < 60
    assert stopped.result["best_epoch"] == best + 1
    assert stopped.result["val"]["loss"] == pytest.approx(losses[best], rel=1e-6)


def test_a_diverging_run_names_step_rate_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"step \d+ \(learning rate 1e\+25\).*checkpoint"):
        convnet.train(
            "digits", out=tmp_path / "r", epochs=3, model="mlp", loss="squared-error", precision="fp32",
            optimizer={"name": "sgd", "lr": 1e25}, schedule="constant",
        )  # fmt: skip


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(convnet.ConvnetError):
        convnet.train("digits", out=tmp_path / "r", model="lenet5")
    with pytest.raises(RecipeError):
        convnet.train("digits", out=tmp_path / "r", device="abacus")
    assert not list(tmp_path.iterdir())


def test_a_listener_hears_every_step(tmp_path: Path) -> None:
    steps: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd):
            steps.append(event.step)

    convnet.train("digits", out=tmp_path / "r", epochs=2, listeners=[listen], **FAST)
    assert steps == list(range(1, 2 * 23 + 1))


def test_ctrl_c_saves_the_step_and_resume_ends_the_same(tmp_path: Path) -> None:
    whole = convnet.train("digits", out=tmp_path / "whole", epochs=3, **FAST)

    def press_ctrl_c(event: Event) -> None:
        if isinstance(event, StepEnd) and event.step == 30:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="stopped after step 30; continue with: convnet resume"):
        convnet.train("digits", out=tmp_path / "cut", epochs=3, listeners=[press_ctrl_c], **FAST)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finished = resume(tmp_path / "cut")
    for name in ("model.safetensors", "steps.csv", "predictions.csv"):
        assert (finished.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_terminated_process_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convnet", "train", "digits", "--epochs", "9999", "--out", "r"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "r" / "metrics.csv").exists():
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "continue with: convnet resume" in errors
    assert "Traceback" not in errors


def test_folders_of_pictures_of_different_sizes(picture_folder: Path, tmp_path: Path) -> None:
    run = convnet.train(
        picture_folder, out=tmp_path / "r", epochs=6, batch_size=4, preprocess={"image_size": 32}
    )
    assert run.classes == ("blue", "red")
    prediction = run.predict([picture_folder / "red" / "1.png"])[0]
    assert prediction.classes[0] == "red"
    assert run.evaluate(str(picture_folder)).accuracy > 0.9


def test_a_network_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n"
        "def flat(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
        "def wrong(num_classes):\n    return nn.Flatten()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = convnet.train("digits", out=tmp_path / "r", model="my_net:flat", epochs=2)
    assert run.result["parameters"] == 650
    assert run.evaluate().accuracy == run.result["test"]["accuracy"]
    with pytest.raises(convnet.ConvnetError, match=r"to \(2, 64\); a classifier of 10 classes must return"):
        convnet.train("digits", out=tmp_path / "w", model="my_net:wrong")


def test_compare(tmp_path: Path) -> None:
    def go() -> object:
        return convnet.compare(
            "digits", {"optimizer": ["adam", "sgd"]}, seeds=2, out=tmp_path / "c", epochs=2, model="mlp"
        )

    done = go()
    assert [row["variant"] for row in done.summary] == ["adam", "sgd"]  # type: ignore[attr-defined]
    first = done.summary[0]  # type: ignore[attr-defined]
    accuracies = [json.loads(Path(r, "result.json").read_text())["test"]["accuracy"] for r in first["runs"]]
    assert first["test.accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert first["test.accuracy"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (tmp_path / "c" / "compare.png").stat().st_size > 10_000
    page = (tmp_path / "c" / "compare.html").read_text()
    assert "optimizer.lr" in page
    weights = tmp_path / "c" / "adam-seed0" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    go()  # takes over what is there
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="another recipe"):
        convnet.compare("digits", {"optimizer": ["adam"]}, out=tmp_path / "c", epochs=3, model="mlp")


def test_every_variant_is_checked_before_any_is_trained(tmp_path: Path) -> None:
    with pytest.raises(convnet.ConvnetError, match="did you mean 'sgd'"):
        convnet.compare("digits", {"optimizer": ["adam", "sgdd"]}, out=tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_precisions_learn(tmp_path: Path, precision: str) -> None:
    torch.manual_seed(0)
    run = convnet.train("digits", out=tmp_path / "r", epochs=8, precision=precision)
    assert run.result["test"]["accuracy"] > 0.9
    assert run.result["precision"] == precision
