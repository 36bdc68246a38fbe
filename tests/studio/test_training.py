"""Jobs: training, changes, pauses, the queue, crashes, and what is left after a kill."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import convnet
from convnet.runs import read_changes
from convnet.studio.channel import packed, read_message
from tests.studio.studio import StudioProcess, open_studio


def train(studio: StudioProcess, epochs: int = 3, **more: Any) -> int:
    changes = {"epochs": epochs, "precision": "fp32", **more.pop("changes", {})}
    number: int = studio.post("/api/jobs", word="digits", changes=changes, **more)["jobs"][0]
    return number


def weights(run: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(run) / "model.safetensors")


def test_the_form_is_checked_with_the_messages_of_the_command_line(studio: StudioProcess) -> None:
    found = studio.post("/api/recipe", word="digits", changes={"optimizer": "sgd", "optimizer.lr": 0.5})
    assert found["recipe"]["optimizer"] == {"name": "sgd", "lr": 0.5, "weight_decay": 0.0}
    assert found["command"] == "convnet train digits --set optimizer=sgd --set optimizer.lr=0.5"
    assert "epochs: must be greater than or equal to 0, got -1" in studio.error(
        "/api/recipe", word="digits", changes={"epochs": -1}
    )
    assert "did you mean 'adam'" in studio.error("/api/jobs", word="digits", changes={"optimizer": "adamm"})
    absent = {"cifar100", "kmnist", "fashion-mnist"} - {found["name"] for found in studio.get("/api/data")}
    for name in absent:  # nothing is downloaded
        assert f"convnet data get {name}" in studio.error("/api/jobs", word=name, changes={})
    schema = studio.get("/api/schema")
    assert schema["properties"]["epochs"]["description"].startswith("Passes over the training samples")
    assert "lr" in schema["components"]["optimizer"]["adadelta"]["properties"]


def test_a_changed_run_is_replayed_by_the_command_line(studio: StudioProcess, tmp_path: Path) -> None:
    number = train(studio, 4, paused=True)
    studio.wait(number, "running")
    studio.post(f"/api/jobs/{number}/step")
    studio.post(f"/api/jobs/{number}/change", field="optimizer.lr", value=0.01)
    studio.post(f"/api/jobs/{number}/change", field="batch_size", value=32)
    assert "must be greater than 0" in studio.error(f"/api/jobs/{number}/change", field="lr", value=-1)
    assert "cannot be changed" in studio.error(f"/api/jobs/{number}/change", field="epochs", value=9)
    studio.post(f"/api/jobs/{number}/resume")
    run = Path(studio.wait(number, "finished")["run"])
    changes = read_changes(run / "events.csv")
    assert [(c.field, c.value) for c in changes] == [("optimizer.lr", 0.01), ("batch_size", 32)]
    assert changes[0].step in (0, 1)
    with convnet.use_settings(threads=json.loads((run / "environment.json").read_text())["threads"]):
        again = convnet.train(
            run / "recipe.yaml", out=tmp_path / "again", replay=run / "events.csv", progress=False
        )
    found, wanted = weights(again.path), weights(run)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.slow
def test_the_queue_trains_one_job_after_the_other(studio: StudioProcess) -> None:
    first, second, third = train(studio, 60), train(studio, 1), train(studio, 1)
    studio.wait(first, "running")
    assert studio.job(second)["state"] == studio.job(third)["state"] == "queued"
    studio.post(f"/api/jobs/{third}/stop")
    assert studio.job(third)["state"] == "stopped"
    studio.post(f"/api/jobs/{first}/stop")
    stopped = studio.wait(first, "stopped")
    assert "convnet resume" in stopped["message"]
    finished = studio.wait(second, "finished")
    assert Path(finished["run"], "report.html").exists()


def test_a_crash_of_training_leaves_the_page_alive_and_the_run_resumes(studio: StudioProcess) -> None:
    number = train(studio, 40)
    studio.wait(number, "running")
    while studio.job(number)["epoch"] < 2:
        time.sleep(0.02)
    os.kill(studio.job(number)["process"], signal.SIGKILL)
    failed = studio.wait(number, "failed")
    assert "was killed by signal 9" in failed["message"] and "convnet resume" in failed["message"]
    name = Path(failed["run"]).name
    (again,) = studio.post("/api/resume", run=name)["jobs"]
    studio.wait(again, "running")
    studio.post(f"/api/jobs/{again}/finish")
    studio.wait(again, "finished")


def test_an_error_of_training_is_shown(studio: StudioProcess) -> None:
    number = train(studio, 2, changes={"optimizer": "sgd", "optimizer.lr": 1e20})
    failed = studio.wait(number, "failed")
    assert "lower rate" in failed["message"] and "Traceback" not in failed["message"]


@pytest.mark.slow
def test_a_race_has_the_same_batches(studio: StudioProcess) -> None:
    jobs = studio.post("/api/jobs", word="digits", changes={"epochs": 2}, rival="adadelta")["jobs"]
    runs = [Path(studio.wait(number, "finished")["run"]) for number in jobs]
    recipes = [convnet.load_run(run).recipe for run in runs]
    assert [recipe.optimizer.name for recipe in recipes] == ["adam", "adadelta"]
    assert len({recipe.seed for recipe in recipes}) == 1
    first = [(run / "steps.csv").read_text().splitlines()[1].split(",")[2] for run in runs]
    assert first[0] == first[1]  # the loss of the first batch, before the first update


def test_a_watcher_gets_frames_of_the_layers_it_shows(studio: StudioProcess) -> None:
    number = train(studio, 200)
    frames: list[dict[str, Any]] = []
    with studio.socket(f"/api/jobs/{number}/live") as socket:
        while len(frames) < 5:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
                frames.append(header)
                socket.send('{"type": "drawn"}')
            elif (told := json.loads(message))["type"] == "snapshot" and told["facts"]:
                layers = told["facts"]["layers"]
                conv = next(layer["name"] for layer in layers if layer["kind"] == "conv2d")
                wanted = [
                    [conv, kind]
                    for kind in ("activation", "activation-gradient", "weight", "weight-gradient")
                ]
                socket.send(
                    json.dumps({"type": "watch", "wanted": [*wanted, ["nothing", "weight"]], "image": 1})
                )
    studio.post(f"/api/jobs/{number}/stop")
    studio.wait(number, "stopped")
    shown = {(tensor["layer"], tensor["kind"]): tensor["shape"] for tensor in frames[-1]["tensors"]}
    assert shown == {
        (conv, "activation"): [32, 8, 8],
        (conv, "activation-gradient"): [32, 8, 8],
        (conv, "weight"): [32, 1, 3, 3],
        (conv, "weight-gradient"): [32, 1, 3, 3],
    }
    assert frames[-1]["step"] > frames[0]["step"] and frames[-1]["image"] == 1


@pytest.mark.slow
def test_watching_does_not_change_the_weights(studio: StudioProcess, tmp_path: Path) -> None:
    number = train(studio, 3, paused=True)
    studio.wait(number, "running")
    with studio.socket(f"/api/jobs/{number}/live") as socket:
        layers = json.loads(socket.recv(timeout=60))["facts"]["layers"]
        wanted = [[layer["name"], kind] for layer in layers for kind in ("activation", "activation-gradient")]
        socket.send(json.dumps({"type": "watch", "wanted": wanted, "image": 0}))
        studio.post(f"/api/jobs/{number}/resume")
        frames = 0
        while True:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                frames += 1
                socket.send('{"type": "drawn"}')
            elif json.loads(message).get("state") == "finished":
                break
    assert frames
    run = Path(studio.job(number)["run"])
    with convnet.use_settings(threads=json.loads((run / "environment.json").read_text())["threads"]):
        plain = convnet.train(run / "recipe.yaml", out=tmp_path / "plain", progress=False)
    found, wanted_weights = weights(plain.path), weights(run)
    assert all(torch.equal(found[name], wanted_weights[name]) for name in found)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_the_end_of_the_studio_leaves_is_resumed_to_the_same_weights(
    tmp_path: Path, number: signal.Signals
) -> None:
    with open_studio(tmp_path) as studio:
        job = train(studio, 25)
        studio.wait(job, "running")
        studio.post(f"/api/jobs/{job}/change", field="optimizer.lr", value=0.002)
        while studio.job(job)["epoch"] < 3:
            time.sleep(0.02)
        worker = studio.job(job)["process"]
        studio.process.send_signal(number)
        assert studio.process.wait(60) == (-9 if number == signal.SIGKILL else 0)
        for _ in range(600):  # the training process ends by itself
            if not Path(f"/proc/{worker}").exists():
                break
            time.sleep(0.05)
        assert not Path(f"/proc/{worker}").exists()
        run = next((tmp_path / "runs").glob("digits-*"))
        assert not (run / "result.json").exists()
        changes = read_changes(run / "events.csv")
        assert [change.field for change in changes] == ["optimizer.lr"]
    with open_studio(tmp_path) as studio:
        (job,) = studio.post("/api/resume", run=run.name)["jobs"]
        studio.wait(job, "finished")
    threads = json.loads((run / "environment.json").read_text())["threads"]
    with convnet.use_settings(threads=threads):
        whole = convnet.train(
            run / "recipe.yaml", out=tmp_path / "whole", replay=run / "events.csv", progress=False
        )
    found, wanted = weights(run), weights(whole.path)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_messages_between_the_processes(tmp_path: Path) -> None:
    file = tmp_path / "pipe"
    messages: list[Any] = [{"type": "steps", "rows": [[1, 0.5, None, "ä"]]}, b"\0\1", {}, b""]
    file.write_bytes(b"".join(map(packed, messages)))
    with file.open("rb") as stream:
        assert [read_message(stream) for _ in messages] == messages
        assert read_message(stream) is None
    file.write_bytes(packed(b"1234")[:-1])
    with file.open("rb") as stream:
        assert read_message(stream) is None
