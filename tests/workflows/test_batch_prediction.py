"""Predictions of many files: continued, divided, and with the unreadable ones listed."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

import convnet
from convnet.errors import DataError, RecipeError
from convnet.prediction import InputFile
from convnet.workflows import batch_prediction
from convnet.workflows.batch_prediction import Shard, predict_into
from tests.conftest import Cli, refused

COUNT = 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fifty images, one of which cannot be read."""
    found = tmp_path / "images"
    found.mkdir()
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 10), dtype=np.uint8)
        Image.fromarray(pixels).save(found / f"{number:03}.png")
    (found / "007.png").write_bytes(b"no image")
    return found


def test_a_folder_becomes_a_table(call: Cli, digits_bundle: Path, folder: Path, tmp_path: Path) -> None:
    wanted = [row.as_dict() for row in convnet.load_bundle(digits_bundle).predict(folder / "00[0-6].png")]
    for name in ("made.parquet", "made.csv"):
        done = call("predict", digits_bundle, folder, "--out", name)
        assert done.returncode == 1 and "49 predictions" in done.stdout and "007.png" in done.stderr
        read = pyarrow.parquet.read_table if name.endswith(".parquet") else pyarrow.csv.read_csv
        rows = read(tmp_path / name).to_pylist()
        assert len(rows) == COUNT - 1 and [Path(row["file"]).stem for row in rows[:8]] == [
            f"{n:03}" for n in (0, 1, 2, 3, 4, 5, 6, 8)
        ]
        for row, prediction in zip(rows, wanted, strict=False):
            assert str(row["class"]) == prediction["class"] and row["unknown"] == prediction["unknown"]
            assert row["p(3)"] == pytest.approx(prediction["probabilities"]["3"], abs=1e-6)
        (listed,) = csv.DictReader((tmp_path / "made.errors.csv").read_text().splitlines())
        assert listed["file"].endswith("007.png") and "not a readable image" in listed["error"]
        assert not list(tmp_path.glob(".*"))


def test_shards_of_the_files_are_the_whole(
    call: Cli, digits_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    call("predict", digits_bundle, folder, "--out", "all.csv")
    parts = []
    for number in (1, 2, 3):
        call("predict", digits_bundle, folder, "--out", "part.csv", "--shard", f"{number}/3")
        parts += (tmp_path / f"part-{number}-of-3.csv").read_text().splitlines()[1:]
    assert parts == (tmp_path / "all.csv").read_text().splitlines()[1:]
    for wrong in ("0/3", "4/3", "x", "1", "-1/2"):
        assert "--shard" in refused(
            call("predict", digits_bundle, folder, "--out", "x.csv", "--shard", wrong)
        )
    assert "--shard applies only with --out" in refused(
        call("predict", digits_bundle, folder, "--shard", "1/2")
    )


def test_images_in_tar_archives(call: Cli, digits_bundle: Path, folder: Path, tmp_path: Path) -> None:
    for name, start in (("a-000.tar", 0), ("a-001.tar", 25)):
        with tarfile.open(tmp_path / name, "w") as archive:
            for path in sorted(folder.iterdir())[start : start + 25]:
                archive.add(path, path.name)
    call("predict", digits_bundle, folder, "--out", "files.csv")
    done = call("predict", digits_bundle, "a-{000..001}.tar", "--out", "shards.csv")
    assert "49 predictions" in done.stdout
    files, shards = (
        [line.partition(",")[2] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("files.csv", "shards.csv")
    )
    assert files == shards
    assert "no such shard" in refused(call("predict", digits_bundle, "b.tar", "--out", "x.csv"))


def test_an_interrupted_call_is_continued(
    digits_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_prediction, "CHUNK", 10)
    predictor = convnet.load_bundle(digits_bundle).predictor
    failures: list[str] = []

    def failed(file: InputFile, _: DataError) -> None:
        failures.append(file.location)

    whole = predict_into(tmp_path / "whole.csv", predictor, predictor.files(folder), Shard(), failed)
    assert (whole.predicted, whole.failed, whole.continued) == (49, 1, 0)
    files = predictor.files(folder)

    def unplugged() -> bytes:
        raise KeyboardInterrupt

    broken = [*files[:25], InputFile(files[25].location, unplugged), *files[26:]]
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path / "made.csv", predictor, broken, Shard(), failed)
    assert not (tmp_path / "made.csv").exists()
    done = predict_into(tmp_path / "made.csv", predictor, files, Shard(), failed)
    assert (done.predicted, done.failed, done.continued) == (49, 1, 20)
    assert (tmp_path / "made.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path / "made.csv", predictor, broken, Shard(), failed)
    fewer = predict_into(tmp_path / "made.csv", predictor, files[:30], Shard(), failed)
    assert (fewer.predicted, fewer.continued) == (29, 0)
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path / "made.csv", predictor, broken, Shard(), failed)
    int8 = convnet.load_bundle(digits_bundle, precision="int8", backend="onnxruntime").predictor
    other = predict_into(tmp_path / "made.csv", int8, files, Shard(), failed)
    assert (other.predicted, other.continued) == (49, 0)


def test_a_continued_call_knows_of_earlier_failures(
    call: Cli, digits_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_prediction, "CHUNK", 10)
    predictor = convnet.load_bundle(digits_bundle).predictor
    files = predictor.files(folder)

    def unplugged() -> bytes:
        raise KeyboardInterrupt

    broken = [*files[:25], InputFile(files[25].location, unplugged), *files[26:]]
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path / "made.csv", predictor, broken, Shard(), lambda *_: None)
    done = call("predict", digits_bundle, folder, "--out", "made.csv")
    assert done.returncode == 1 and "20 files of an earlier call" in done.stdout


def test_no_table_stays_that_was_not_predicted(
    call: Cli, digits_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("path\n" + "".join(f"{path}\n" for path in sorted(folder.glob("*.png"))))
    before = listed.read_text()
    assert "one of the files" in refused(call("predict", digits_bundle, listed, "--out", listed))
    assert listed.read_text() == before
    (tmp_path / "made.csv").write_text("of an earlier model")
    done = call("predict", digits_bundle, folder / "007.png", "--out", "made.csv")
    assert done.returncode == 2 and "no table is written" in done.stdout
    assert not (tmp_path / "made.csv").exists()


@pytest.mark.slow
def test_a_killed_process_is_continued(digits_bundle: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(images).save(buffer, "PNG")
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12_000):
        (folder / f"{number:05}.png").write_bytes(buffer.getvalue())
    command = [sys.executable, "-m", "convnet", "predict", digits_bundle, folder, "--out", "made.parquet"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while len(list(tmp_path.glob(".made.parquet.part/*.parquet"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "12,000 predictions" in done.stdout and "files of an earlier call" in done.stdout
    assert pyarrow.parquet.read_table(tmp_path / "made.parquet").num_rows == 12_000


def test_what_is_no_table_is_refused(call: Cli, digits_bundle: Path, folder: Path) -> None:
    assert "pass a .csv or .parquet file" in refused(call("predict", digits_bundle, folder, "--out", "x.txt"))
    with pytest.raises(RecipeError):
        Shard.parse("3/2")
