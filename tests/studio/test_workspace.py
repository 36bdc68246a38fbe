"""Folders, uploads, the trash, corrections of labels, the preview of augmentation."""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convnet.errors import DataError
from convnet.studio.command import as_text, command, train_command
from convnet.studio.server import open_workspace
from convnet.studio.workspace import Workspace, inside
from tests.conftest import PHOTOS
from tests.studio.studio import StudioProcess
from tests.studio.test_inspector import unpacked


def audited(studio: StudioProcess, data: str) -> tuple[int, dict[str, Any]]:
    number = studio.post("/api/data/audit", data=data)["id"]
    for _ in range(1200):
        found = studio.get(f"/api/data/audit/{number}")
        if found["state"] != "running":
            return number, found
        time.sleep(0.05)
    raise AssertionError("the audit did not end")


def read(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_labels_are_corrected_in_a_table_and_the_images_stay(studio: StudioProcess) -> None:
    photos = studio.folder / "photos"
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    number, found = audited(studio, str(photos))
    assert found["state"] == "finished" and found["correctable"]
    classes = list(found["classes"])
    first, second, third = sorted(p.relative_to(photos).as_posix() for p in before if p.suffix == ".jpg")[:3]
    own = first.split("/")[0]
    other = next(name for name in classes if name != own)
    path = f"/api/data/audit/{number}"
    studio.post(f"{path}/correct", path=first, label=other)
    studio.post(f"{path}/correct", path=second, label="remove")
    studio.post(f"{path}/correct", path=third, label=other)
    studio.post(f"{path}/correct", path=third, label=None)  # undone
    assert studio.error(f"{path}/correct", path=first, label="nothing")
    assert studio.error(f"{path}/correct", path="../x", label=other)
    rows = read(found["file"])
    assert [(row["path"], row["corrected"]) for row in rows] == [(first, other), (second, "remove")]
    made = studio.post(f"{path}/apply")
    assert (made["changed"], made["removed"]) == (1, 1)
    table = {row["path"]: row["label"] for row in read(made["table"])}
    assert table[str(photos / first)] == other and str(photos / second) not in table
    assert len(table) == sum(found["classes"].values()) - 1
    assert (
        studio.post("/api/recipe", word=made["table"], changes={})["recipe"]["data"]["source"]
        == made["table"]
    )
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before
    picture = studio.request("GET", f"{path}/picture?path={first}")
    assert picture.headers["content-type"] == "image/jpeg" and picture.body[:2] == b"\xff\xd8"
    assert studio.request("GET", f"{path}/picture?path=../../etc/passwd").status == 422


def test_the_network_of_a_run_finds_a_wrong_label(studio: StudioProcess) -> None:
    folder, digits = studio.folder / "mislabeled", load_digits()
    for i, (image, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        if digit < 2:
            target = folder / str(digit if i else 1) / f"{i}.png"  # the first is a zero
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((15 * image).astype(np.uint8)).save(target)
    number = studio.post("/api/jobs", word=str(folder), changes={"epochs": 8})["jobs"][0]
    run = studio.wait(number, "finished")["name"]
    audit = studio.post("/api/data/audit", run=run)["id"]
    for _ in range(1200):
        found = studio.get(f"/api/data/audit/{audit}")
        if found["state"] != "running":
            break
        time.sleep(0.05)
    suspects = next(part for part in found["findings"] if part["kind"] == "suspect_label")
    path, detail, label = suspects["rows"][0]
    assert (path, label) == ("1/0.png", "1") and "the network prefers '0'" in detail


def test_an_upload_is_streamed_and_trained_on(studio: StudioProcess) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in PHOTOS.rglob("*.jpg"):
            archive.write(path, path.relative_to(PHOTOS))
    answer = studio.request("POST", "/api/uploads?name=..%2F..%2Fmy%20photos.zip", content.getvalue())
    stored = Path(answer.json["path"])
    assert stored.name == "my_photos" and stored.is_relative_to(studio.folder / "runs" / ".uploads")
    recipe = studio.post("/api/recipe", word=str(stored), changes={})["recipe"]
    assert recipe["model"]["name"] == "efficientnet-lite0"
    for name in ("", "..", "/", "%00"):
        assert studio.request("POST", f"/api/uploads?name={name}", b"x").status == 422


def test_an_upload_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    import asyncio

    async def parts() -> Any:
        for _ in range(10):
            yield b"x" * 1000

    workspace = Workspace(tmp_path / "runs")
    with pytest.raises(DataError, match="larger than"):
        asyncio.run(workspace.receive("a.zip", parts(), limit=5000))
    assert not list(workspace.uploads.iterdir())
    assert asyncio.run(workspace.receive("a.zip", parts())).stat().st_size == 10_000


def test_a_deleted_run_is_restored(studio: StudioProcess) -> None:
    number = studio.post("/api/jobs", word="digits", changes={"epochs": 1})["jobs"][0]
    run = Path(studio.wait(number, "finished")["run"])
    files = {path.relative_to(run) for path in run.rglob("*")}
    deleted = studio.post("/api/runs/delete", run=run.name)["trash"]
    assert not run.exists() and run.name not in {row["name"] for row in studio.get("/api/runs")}
    assert deleted in studio.get("/api/runs/trash")["runs"] and studio.get("/api/runs/trash")["bytes"] > 0
    assert studio.post("/api/runs/restore", trash=deleted)["run"] == run.name
    assert {path.relative_to(run) for path in run.rglob("*")} == files
    assert "not in the trash" in studio.error("/api/runs/restore", trash=deleted)
    made = studio.post("/api/runs/compare", runs=["digits-run", run.name])
    page = studio.request("GET", f"/api/runs/comparison?name={made['comparison']}")
    assert page.status == 200 and b"digits" in page.body


def test_augmented_images_are_drawn(studio: StudioProcess) -> None:
    headers = {**studio.headers, "Content-Type": "application/json"}
    order = {"data": "digits", "augment": {"shift": 3}, "index": 2}
    header, found = unpacked(
        studio.request("POST", "/api/data/augment", json.dumps(order).encode(), headers).body
    )
    original = found["original", "image"]
    others = [found[str(i), "image"] for i in range(12)]
    assert original.shape == (1, 8, 8) and sum((other != original).any() for other in others) > 6
    assert header["command"] == "convnet data preview digits --set augment.shift=3"
    plain = json.dumps({**order, "augment": {}}).encode()
    _, found = unpacked(studio.request("POST", "/api/data/augment", plain, headers).body)
    assert all((found[str(i), "image"] == found["original", "image"]).all() for i in range(12))
    assert "must be less than or equal to 180" in studio.error(
        "/api/data/augment", data="digits", augment={"rotate": 500}
    )


def test_what_the_studio_opens_first(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace, start = open_workspace(None)
    assert workspace.runs == tmp_path / "runs" and start == {"view": "train"}
    workspace, start = open_workspace(str(digits_run))
    assert workspace.runs == digits_run.parent and start == {"view": "inspect", "network": digits_run.name}
    assert open_workspace(str(digits_run.parent))[1] == {"view": "runs"}
    workspace, start = open_workspace(str(PHOTOS))
    assert start["data"] == str(PHOTOS) and workspace.source(str(PHOTOS)) == str(PHOTOS)
    assert open_workspace("digits")[1]["data"] == "digits"
    with pytest.raises(DataError, match="neither data"):
        open_workspace("nothing")


def test_links_out_of_the_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "secret")
    workspace = Workspace(tmp_path / "runs")
    assert inside(workspace.runs, "link") is None and inside(workspace.runs, ".") is None
    with pytest.raises(DataError, match="outside"):
        workspace.source(str(tmp_path / "runs" / "link"))


def test_commands_can_be_pasted() -> None:
    assert train_command("my photos", {"optimizer.lr": 0.1, "augment.flip": True, "weights": None}) == (
        "convnet train 'my photos' --set optimizer.lr=0.1 --set augment.flip=true --set weights=null"
    )
    assert command("export", "runs/a", format="onnx", quantize=None) == "convnet export runs/a --format onnx"
    assert [as_text(value) for value in ("adam", "", [1, 2], None, False)] == [
        "adam",
        '""',
        "[1, 2]",
        "null",
        "false",
    ]
