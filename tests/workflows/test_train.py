from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convnet
from convnet import use_settings
from convnet.errors import DataError, DivergedError, InterruptedRunError, RecipeError, RunError
from convnet.training import EpochEnd, Event, StepEnd, StopTraining
from convnet.workflows import Run, resume

FAST = {"model": "mlp", "schedule": "constant", "keep_checkpoints": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The default job, on the bundled digits."""
    return convnet.train("digits", out=tmp_path_factory.mktemp("runs") / "digits", epochs=8)


def test_the_run_folder_holds_what_the_design_says(run: Run) -> None:
    names = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file() and p.name != ".lock"}
    pictures = ("confusion", "curve-accuracy", "curve-loss", "curve-rates", "curve-steps", "reliability")
    assert names == {
        "recipe.yaml",
        "environment.json",
        "data.json",
        "split.csv",
        "metrics.csv",
        "steps.csv",
        "model.safetensors",
        "predictions.npz",
        "predictions.csv",
        "result.json",
        "report.html",
        "run.json",
        *(f"figures/{name}.svg" for name in pictures),
    }
    assert run.result["test"]["accuracy"] > 0.9
    assert run.result["parameters"] == 65_834
    assert [row["epoch"] for row in run.metrics] == list(range(1, 9))


def test_the_report_needs_nothing_from_outside(run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/svg+xml;base64,") == 6 and "data:image/jpeg;base64," in page
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
    dataset = convnet.open_data("digits")
    for i in range(10):
        Image.fromarray(dataset.images[i, 0].numpy()).save(tmp_path / f"{i}.png")
    predictions = run.predict(sorted(tmp_path.iterdir()))
    right = sum(p.classes[0] == dataset.info.classes[dataset.targets[i]] for i, p in enumerate(predictions))
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
    assert len(losses) == best + 1 + 2 < 60
    row = stopped.metrics[best]
    assert stopped.result["train"]["loss"] == row["train_loss"]
    assert stopped.result["best_epoch"] == best + 1
    # The final figures are computed in fp32, those of the epochs in the precision of training.
    assert stopped.result["val"]["loss"] == pytest.approx(losses[best], rel=1e-3)


def test_a_diverging_run_names_step_rate_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"step \d+ \(learning rate 1e\+25\).*checkpoint"):
        convnet.train(
            "digits", out=tmp_path / "r", epochs=3, model="mlp", loss="squared-error", precision="fp32",
            optimizer={"name": "sgd", "lr": 1e25}, schedule="constant",
        )  # fmt: skip


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(convnet.ConvnetError, match="lenet5 needs images"):
        convnet.train("digits", out=tmp_path / "r", model="lenet5")
    with pytest.raises(RecipeError, match="got 'abacus'"), use_settings(device="abacus"):
        convnet.train("digits", out=tmp_path / "r")
    with pytest.raises(RecipeError, match="raise batch_size"):
        convnet.train("digits", out=tmp_path / "one", batch_size=1, model={"name": "resnet9", "width": 4})
    assert not list(tmp_path.iterdir())
    with pytest.raises(RecipeError, match=r"augment\.shift=8 is too large for 1×8×8 images"):
        convnet.train("digits", out=tmp_path / "r", augment={"shift": 8})


def test_a_loss_that_explodes_in_the_last_step_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"infinite|became|at the end of training"):
        convnet.train(
            "digits", out=tmp_path / "r", epochs=1, batch_size=2000, precision="fp32", model="mlp",
            split={"val": 0}, optimizer={"name": "sgd", "lr": 1e38}, schedule="constant",
        )  # fmt: skip
    assert not (tmp_path / "r" / "result.json").exists()


def test_a_run_goes_on_with_the_recipe_it_began_with_or_not_at_all(tmp_path: Path) -> None:
    run = convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST)
    recipe = (run.path / "recipe.yaml").read_text()
    (run.path / "recipe.yaml").write_text(recipe.replace("batch_size: 64", "batch_size: 32"))
    with pytest.raises(RunError, match=r"recipe.yaml was changed since the checkpoint \(batch_size\)"):
        resume(run.path, epochs=2)


def test_damaged_files_of_a_run_are_named(tmp_path: Path) -> None:
    run = convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST)
    for name, use in (
        ("data.json", lambda r: r.evaluate()),
        ("result.json", lambda r: r.result),
        ("recipe.yaml", lambda r: r.recipe),
        ("split.csv", lambda r: r.evaluate()),
        ("model.safetensors", lambda r: r.model),
        ("metrics.csv", lambda r: r.report()),
    ):
        whole = (run.path / name).read_bytes()
        for damage in (b"\xff\xfe", b"[1, 2]\n"):
            (run.path / name).write_bytes(damage)
            with pytest.raises(convnet.ConvnetError, match=re.escape(name)):
                use(convnet.load_run(run.path))  # type: ignore[no-untyped-call]
        (run.path / name).write_bytes(whole)
    assert convnet.load_run(run.path).evaluate().accuracy == run.result["test"]["accuracy"]
    (run.path / "data.json").write_text("{}")
    with pytest.raises(RunError, match=r"data\.json: damaged: name: field required"):
        convnet.load_run(run.path).evaluate()


def test_a_refused_resume_leaves_a_finished_run_as_it_was(tmp_path: Path) -> None:
    with convnet.use_settings(keep_checkpoints=True):
        run = convnet.train("digits", out=tmp_path / "r", epochs=2, **FAST)
    files = ("result.json", "report.html", "recipe.yaml", "metrics.csv", "model.safetensors")
    before = [(run.path / name).read_bytes() for name in files]
    checkpoint, metrics = run.path / "checkpoints" / "last.safetensors", run.path / "metrics.csv"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:500])
    with pytest.raises(RunError, match="not a readable checkpoint"):
        resume(run.path, epochs=4)
    assert [(run.path / name).read_bytes() for name in files] == before
    checkpoint.write_bytes(whole)
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(RunError, match=r"metrics\.csv: damaged: has 1 epochs, but the checkpoint has 2"):
        resume(run.path, epochs=4)
    metrics.write_bytes(before[3])
    assert [(run.path / name).read_bytes() for name in files] == before
    assert resume(run.path, epochs=4).result["epochs"] == 4


def edited(run: Run, name: str, old: str, new: str) -> Run:
    """The run with some text of a file replaced."""
    file = run.path / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return convnet.load_run(run.path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "result.json",
            '"samples": 179',
            '"samples": 1790',
            "of another run: test has 1,790 samples",
        ),
        ("result.json", '"model": "', '"model": "my-', "of another run: its model is my-"),
        ("predictions.csv", ",sample,", ",smple,", "damaged: it has no column sample"),
        ("metrics.csv", "val_accuracy", "val_acc", "it has no column val_accuracy"),
        ("split.csv", "index,", "idx,", r"split\.csv: damaged: it has no column 'index'"),
    ],
)
def test_edited_files_of_a_run_are_named(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    run = edited(convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST), name, old, new)
    with pytest.raises(convnet.ConvnetError, match=f"{re.escape(str(run.path / name))}.*{message}|{message}"):
        run.report(), run.metrics, run.evaluate()


@pytest.mark.parametrize("kept", ["none", "header", "half"])
def test_a_table_of_predictions_with_missing_rows_is_named(tmp_path: Path, kept: str) -> None:
    run = convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST)
    file = run.path / "predictions.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: {"none": 0, "header": 1, "half": len(lines) - 20}[kept]]))
    said = r"predictions\.(csv|npz): damaged: (it|test) has (no rows|other samples)"
    with pytest.raises(RunError, match=said):
        convnet.load_run(run.path).report()


def test_a_loss_that_is_unknown_is_not_drawn(tmp_path: Path) -> None:
    run = convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST)
    result = json.loads((run.path / "result.json").read_text())
    result["test"]["loss"] = None
    (run.path / "result.json").write_text(json.dumps(result))
    assert convnet.load_run(run.path).report().exists()


def test_weights_for_other_classes_are_refused(picture_folder: Path, tmp_path: Path) -> None:
    options = FAST | {"model": "linear", "epochs": 1}
    run = convnet.train(str(picture_folder), out=tmp_path / "a", **options)
    renamed = shutil.copytree(picture_folder, tmp_path / "renamed")
    (renamed / "red").rename(renamed / "crimson")
    other = convnet.train(str(renamed), out=tmp_path / "b", **options)
    shutil.copy(other.path / "model.safetensors", run.path)
    with pytest.raises(RunError, match="of a network of other classes"):
        _ = convnet.load_run(run.path).model


def test_weights_of_another_network_are_refused_with_the_reason(tmp_path: Path) -> None:
    run = convnet.train("digits", out=tmp_path / "a", epochs=1, **FAST)
    other = convnet.train("digits", out=tmp_path / "b", epochs=1, **(FAST | {"model": "linear"}))
    (run.path / "model.safetensors").write_bytes((other.path / "model.safetensors").read_bytes())
    with pytest.raises(
        RunError, match=r"model\.safetensors: cannot be loaded as .*(Missing key|size mismatch)"
    ):
        _ = convnet.load_run(run.path).model


def test_a_listener_ends_training_after_the_epoch_that_all_have_heard_of(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch == 2:
            raise StopTraining

    run = convnet.train("digits", out=tmp_path / "a", listeners=[stop], **FAST)
    assert run.result["epochs"] == 2 and len(run.metrics) == 2

    def stop_at_once(event: Event) -> None:
        raise StopTraining

    with pytest.raises(InterruptedRunError, match="before the end of the first epoch"):
        convnet.train("digits", out=tmp_path / "b", listeners=[stop_at_once], **FAST)


def test_data_that_changed_or_is_gone(picture_folder: Path, tmp_path: Path) -> None:
    run = convnet.train(
        picture_folder,
        out=tmp_path / "r",
        epochs=1,
        batch_size=4,
        preprocess={"image_size": 16},
        keep_checkpoints=True,
    )
    (picture_folder / "blue" / "0.jpg").rename(picture_folder / "blue" / "z.jpg")
    with pytest.raises(DataError, match=r"0\.jpg \(blue\) is no longer there"):
        resume(run.path, epochs=2)
    picture_folder.rename(tmp_path / "elsewhere")
    page = convnet.load_run(run.path).report().read_text()
    assert "not found at its recorded location" in page
    assert run.predict([tmp_path / "elsewhere" / "red" / "1.png"])
    with pytest.raises(RunError, match="inside the data"):
        convnet.train(tmp_path / "elsewhere", out=tmp_path / "elsewhere" / "runs" / "r")


def test_a_moved_folder_is_found_again_where_the_recipe_says(picture_folder: Path, tmp_path: Path) -> None:
    options = {"preprocess": {"image_size": 16}, "model": "linear", "batch_size": 8, "keep_checkpoints": True}
    run = convnet.train(str(picture_folder), out=tmp_path / "r", epochs=1, **options)
    moved = picture_folder.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"no such folder; if it was moved, .*recipe\.yaml"):
        resume(run.path, epochs=2)
    recipe = run.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(picture_folder), str(moved)))
    assert resume(run.path, epochs=2).result["epochs"] == 2


def test_class_names_are_names_whatever_they_contain(picture_folder: Path, tmp_path: Path) -> None:
    for old, new in (("red", "$_$ <blink>"), ("blue", "日本\r\n")):
        (picture_folder / old).rename(picture_folder / new)
    run = convnet.train(
        picture_folder,
        out=tmp_path / "r",
        epochs=1,
        batch_size=4,
        preprocess={"image_size": 16},
        keep_checkpoints=True,
    )
    assert set(convnet.load_run(run.path).classes) == {"$_$ <blink>", "日本\r\n"}
    assert len(run.evaluate().targets) == 2
    assert "<blink>" not in (run.path / "report.html").read_text()


def test_an_empty_folder_that_is_there_is_filled(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    before = (tmp_path / "r").stat().st_ino
    convnet.train("digits", out=tmp_path / "r", epochs=1, **FAST)
    assert (tmp_path / "r").stat().st_ino == before


def test_photos_through_a_linear_classifier_in_bf16(tmp_path: Path) -> None:
    """32 images of 3×128×128: a product that torch's bf16 linear layer does not survive."""
    code = (
        "import torch; from convnet.layers import FlattenLinear; layer = FlattenLinear((3, 128, 128), 5)\n"
        "with torch.autocast('cpu', torch.bfloat16):\n"
        "    layer(torch.randn(32, 3, 128, 128)).float().sum().backward()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match="stopped after step 30; continue with: convnet resume"):
        convnet.train("digits", out=tmp_path / "cut", epochs=3, listeners=[press_ctrl_c], **FAST)
    assert signal.getsignal(signal.SIGINT) is before
    finished = resume(tmp_path / "cut")
    for name in ("model.safetensors", "steps.csv", "predictions.csv"):
        assert (finished.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_terminated_process_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convnet", "train", "digits", "--epochs", "9999", "--out", "r"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.startswith("epoch") for line in process.stderr), "it ended before the first epoch did"
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
        "def wrong(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.LayerNorm(64))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = convnet.train("digits", out=tmp_path / "r", model="my_net:flat", epochs=2)
    assert run.result["parameters"] == 650
    assert run.evaluate().accuracy == run.result["test"]["accuracy"]
    with pytest.raises(convnet.ConvnetError, match=r"to \(3, 64\); a classifier of 10 classes must return"):
        convnet.train("digits", out=tmp_path / "w", model="my_net:wrong")


def test_compare(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def go() -> object:
        return convnet.compare(
            "digits", {"optimizer": ["adam", "sgd"]}, seeds=2, out=tmp_path / "c", epochs=2, model="mlp"
        )

    with caplog.at_level("INFO", logger="convnet"):
        done = go()
    said = "\n".join(caplog.messages)
    assert "optimizer=adam, run 1 of 4  " in said and re.search(r"run 4 of 4, about \d+ s left", said)
    assert [row["variant"] for row in done.summary] == ["optimizer=adam", "optimizer=sgd"]  # type: ignore[attr-defined]
    first = done.summary[0]  # type: ignore[attr-defined]
    accuracies = [json.loads(Path(r, "result.json").read_text())["test"]["accuracy"] for r in first["runs"]]
    assert first["test.accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert first["test.accuracy"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (tmp_path / "c" / "compare.png").stat().st_size > 10_000
    page = (tmp_path / "c" / "compare.html").read_text()
    assert "optimizer.lr" in page
    weights = tmp_path / "c" / "optimizer=adam-seed0" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    go()  # takes over what is there
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="another comparison"):
        convnet.compare("digits", {"optimizer": ["adam"]}, out=tmp_path / "c", epochs=3, model="mlp")


def test_compare_takes_data_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other samples are another comparison, though all else is the same."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    labels = np.arange(60) % 2

    def go(labels: object) -> Path:
        done = convnet.compare((images, labels), {"optimizer.lr": [0.1, 0.01]}, epochs=1, model="linear")
        assert all(row["samples"] == {"val": 6, "test": 6} for row in done.summary)
        return done.page.parent

    first = go(labels)
    assert go(labels) == first and go(1 - labels) != first
    run = next(first.glob("*0.01-seed0"))
    assert convnet.load_run(run).evaluate((images, labels)).accuracy is not None


def test_compare_varies_what_it_says(tmp_path: Path) -> None:
    options = {"epochs": 1, "model": "mlp"}
    vary = {"optimizer.lr": [0.1], "seed": [1, 2], "optimizer.name": ["sgd", "momentum"]}
    done = convnet.compare("digits", vary, out=tmp_path / "r", **options)
    found = [
        (r.recipe.optimizer.options["lr"], r.recipe.seed, r.recipe.optimizer.name)
        for runs in done.runs.values()
        for r in runs
    ]
    assert found == [(0.1, 1, "sgd"), (0.1, 1, "momentum"), (0.1, 2, "sgd"), (0.1, 2, "momentum")]
    with pytest.raises(RecipeError, match="two variants have the name 'optimizer=adam'"):
        convnet.compare("digits", {"optimizer": ["adam", "adam"]}, out=tmp_path / "t")
    with pytest.raises(convnet.ConvnetError, match="lenet5 needs images"):
        convnet.compare("digits", {"model": ["mlp", "lenet5"]}, out=tmp_path / "t")
    assert not (tmp_path / "t").exists()


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
