from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.errors import RunError
from convnet.runs import MetricsLog, RunFolder, StepLog, load_checkpoint, save_checkpoint
from convnet.runs.logs import TIMES

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
keys = st.text(max_size=5) | st.integers(0, 9)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(keys, trees, max_size=4))
def test_a_checkpoint_gives_back_what_was_saved(
    tmp_path_factory: pytest.TempPathFactory, content: dict[Any, Any]
) -> None:
    path = tmp_path_factory.mktemp("c") / "x.safetensors"
    tensors = {"a": torch.randn(2, 3), "b": [torch.arange(3), torch.tensor(1.5, dtype=torch.bfloat16)]}
    save_checkpoint(path, {**content, "tensors": tensors})
    found = load_checkpoint(path)
    back = found.pop("tensors")
    content.pop("tensors", None)
    assert found == content
    assert torch.equal(back["a"], tensors["a"])
    assert torch.equal(back["b"][0], torch.arange(3))
    assert back["b"][1].dtype == torch.bfloat16


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    weight = torch.randn(3, 3)
    save_checkpoint(tmp_path / "x", {"a": weight, "b": weight, "c": weight[0]})
    found = load_checkpoint(tmp_path / "x")
    assert torch.equal(found["b"], weight) and torch.equal(found["c"], weight[0])


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"n": 1})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device; the file was not modified"):
        save_checkpoint(path, {"n": 2})
    assert load_checkpoint(path) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(RunError, match="no such checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        load_checkpoint(path)


def test_a_run_appears_whole_and_only_once(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "deep" / "run", {"a.txt": "x"})
    assert folder.read("a.txt") == "x"
    assert RunFolder.open(folder.path) == folder
    with pytest.raises(RunError, match="convnet resume"):
        RunFolder.create(folder.path, {})
    assert sorted(p.name for p in folder.path.parent.iterdir()) == ["run"]


def test_other_versions_and_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run; pass a folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="format 99, but this version of convnet reads format 1"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        RunFolder.open(tmp_path)


HOLD = """
import sys
from pathlib import Path
from convnet.runs import RunFolder
with RunFolder(Path(sys.argv[1])).writing():
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(RunError, match="another process is writing"), folder.writing():
            pass
        other.kill()  # the lock goes with the process
    (folder.path / ".result.json.abc.part").write_text("half")
    (folder.path / ".notes.txt").write_text("the user's own")
    with folder.writing():
        assert not list(folder.path.glob("*.part"))
        assert (folder.path / ".notes.txt").exists()


def test_logs_cut_off_what_no_checkpoint_vouches_for(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    log = StepLog(path, 0)
    for step in range(1, 6):
        log.append((step, 0.1, 1 / 3, float(step % 2)))
    log.close()
    with path.open("a") as file:
        file.write("6,0.1,0.3")  # a kill in the middle of a line
    before = path.read_text()
    log = StepLog(path, 4)
    log.append((5, 0.1, 1 / 3, 1.0))
    log.close()
    assert path.read_text() == before.removesuffix("6,0.1,0.3")
    metrics = MetricsLog(tmp_path / "metrics.csv")
    for epoch in (1, 2, 3):
        metrics.append({"epoch": epoch, "step": epoch, "learning_rate": 0.1, "train_loss": 0.1 * epoch,
                        "val_loss": None, **dict.fromkeys(TIMES, 1.0)})  # fmt: skip
    again = MetricsLog(tmp_path / "metrics.csv")
    again.rewind(2)
    assert [row["train_loss"] for row in again.rows] == [0.1, 0.2]
    assert again.rows[0]["val_loss"] is None


def test_run_folders_are_numbered_and_never_shared(tmp_path: Path) -> None:
    for name in ("a-1", "a-7", "a-x", "b-9"):
        (tmp_path / name).mkdir()
    assert RunFolder.create_numbered(tmp_path, "a", {}).path.name == "a-8"
    assert RunFolder.create_numbered(tmp_path / "none", "a", {}).path.name == "a-1"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunFolder.create_numbered(tmp_path, "c", {}).path.name, range(24)))
    assert sorted(made) == sorted(f"c-{i}" for i in range(1, 25))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*file.*: File exists"):
        RunFolder.create_numbered(tmp_path / "file", "a", {})
