"""Names, addresses, sizes and surroundings that systems and libraries refuse end in one message."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convnet
from convnet.cli import app

Run = Callable[..., tuple[int, str]]
LONG, DEEP, ODD = "n" * 300, "d/" * 2500 + "x", "b\udcffd"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`main("train", …)` runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["convnet", *map(str, arguments)])
        status = 0
        try:
            app.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        said = capfd.readouterr()
        return status, said.out + said.err

    return run


def pictures(root: Path, count: int = 12) -> Path:
    for i in range(count):
        path = root / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return root


@pytest.fixture
def run(tmp_path: Path) -> Path:
    data = pictures(tmp_path / "data")
    return convnet.train(str(data), model="linear", epochs=1, out=tmp_path / "run").path


COMMANDS = (
    ("train", "{}"), ("train", "data", "--model", "linear", "--epochs", "1", "--out", "{}"), ("resume", "{}"),
    ("evaluate", "run", "{}"), ("evaluate", "{}"), ("predict", "run", "{}"),
    ("predict", "run", "data/a/0.png", "--out", "{}.csv"), ("report", "{}"), ("retrieve", "run", "{}"),
    ("retrieve", "run", "data/a/0.png", "--out", "{}.png"), ("baselines", "{}"), ("data", "audit", "{}"),
    ("data", "audit", "data", "--html", "{}.html"), ("data", "split", "data", "--out", "{}.csv"),
    ("data", "preview", "data", "--out", "{}.png"), ("data", "pack", "{}"),
    ("features", "run", "--out", "{}.csv"),
    ("summary", "lenet5", "--html", "{}.html"), ("summary", "lenet5", "--picture", "{}.png"),
    ("train", "{}.yaml"), ("train", "data", "--weights", "{}"),
    ("compare", "data", "--vary", "seed=0,1", "--model", "linear", "--epochs", "1", "--out", "{}"),
)  # fmt: skip


@pytest.mark.parametrize("name", [LONG, DEEP], ids=["long", "deep"])
def test_names_that_the_system_refuses(main: Run, run: Path, name: str) -> None:
    for command in COMMANDS:
        status, said = main(*(word.format(name) for word in command))
        assert status == 2, command
        assert len(said.strip().splitlines()) <= 12 and "error:" in said.lower(), (command, said)


@pytest.mark.slow
def test_names_that_are_not_utf8(main: Run, run: Path) -> None:
    for command in COMMANDS:
        status, said = main(*(word.format(ODD) for word in command))
        assert status in (0, 1, 2) and "Traceback" not in said, (command, said)
    data = pictures(run.parent / f"{ODD}-data")
    for command in (
        ("train", data, "--model", "linear", "--epochs", 1, "--keep-checkpoints", "--out",
         f"{ODD}-run"),
        ("resume", f"{ODD}-run", "--epochs", 2), ("evaluate", f"{ODD}-run"), ("report", f"{ODD}-run"),
("predict", f"{ODD}-run", data / "a" / "0.png", "--json"), ("data", "audit", data),
        ("data", "split", data),
        ("data", "preview", data, "--out", f"{ODD}.png"),
    ):  # fmt: skip
        status, said = main(*command)
        assert status == 0, (command, said)


def test_folders_and_files_that_are_not_utf8_are_named(main: Run, run: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "data")
    shutil.copytree(data / "b", data / "caf\udce9")
    status, said = main("train", data, "--model", "linear", "--epochs", 1, "--out", tmp_path / "r")
    assert status == 0, said
    assert "its name is not valid UTF-8; rename it" in said
    (data / "a" / "0.png").rename(data / "a" / "\udcff.png")
    status, said = main("predict", run, data / "a")
    assert status == 1 and "\\udcff.png: its name is not valid UTF-8; rename it" in said


@pytest.mark.parametrize("address", ["http://[::1/x", "http://a..b/x", f"http://{LONG}/x", "http://a/\udcff"])
def test_addresses_that_cannot_be_parsed(main: Run, tmp_path: Path, address: str) -> None:
    pictures(tmp_path / "data")
    weights = ("train", "data", "--model", "small-convnet", "--weights", address)
    for command in (("train", f"{address}.tar"), weights):
        status, said = main(*command)
        assert status == 2 and "error:" in said, (command, said)


@pytest.mark.parametrize(
    "pattern", ["x{1..99999999}.tar", "x{999..1}-{1..999}.tar", "x{-1..999999999999}.tar"]
)
def test_a_pattern_of_too_many_shards(main: Run, pattern: str) -> None:
    status, said = main("train", pattern)
    assert status == 2 and "stands for more than 100,000 shards" in said


def test_sizes_that_lie(main: Run, tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    with (tmp_path / "data" / "a" / "0.png").open("wb") as file:
        file.truncate(3_000_000_000)  # takes no space
    status, said = main("train", "data", "--model", "linear", "--epochs", 1, "--out", "r")
    assert status == 0 and "1 unreadable" in said
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(3_000_000_000)
    status, said = main("train", "t.csv")
    assert status == 2 and "more than the 0.2 GB" in said
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("a/1.png", "b/1.png"):
            archive.writestr(name, (tmp_path / "data" / "a" / "2.png").read_bytes())
        with archive.open("a/2.png", "w", force_zip64=True) as member:
            for _ in range(600):
                member.write(bytes(1_000_000))
    status, said = main("data", "audit", "bomb.zip", "--json")
    assert "files are read up to 0.5 GB" in said
    columns = ",".join(f"c{i}" for i in range(100_000))
    (tmp_path / "wide.csv").write_text(f"{columns},label\n{columns.replace('c', '')},a\n")
    status, said = main("train", "wide.csv")
    assert status == 2 and "has 100,001 columns" in said


def test_a_mask_value_of_two_thousand_million(main: Run, tmp_path: Path) -> None:
    for i in range(4):
        for name, value in (("images", i), ("masks", 2**31 - 1)):
            (tmp_path / "m" / name).mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((16, 16), np.int32 if name == "masks" else np.uint8)
            pixels[4:8] = value
            Image.fromarray(pixels).save(tmp_path / "m" / name / f"{i}.{'tif' if name == 'masks' else 'png'}")
    status, said = main("train", "m", "--epochs", 1, "--set", "model.width=2")
    assert status == 0 and "masks hold the values 0, 2147483647: 2 classes" in said


def shell(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convnet", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii(run: Path) -> None:
    Image.new("RGB", (8, 8)).save(run.parent / "data" / "a" / "ä.png")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}
    for command in (["summary", "lenet5"], ["--help"], ["models", "list"], ["data", "audit", "data"]):
        done = shell(run.parent, *command, **ascii_only)
        assert done.returncode == 0, done.stderr


def test_settings_of_matplotlib_that_are_the_users(run: Path) -> None:
    (run.parent / "matplotlibrc").write_bytes(b"backend: \xff\xfe\nfont.size: 100000\n")
    done = shell(run.parent, "report", run, MPLBACKEND="nonsense", MATPLOTLIBRC=str(run.parent))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("settings", [True, False])
def test_reports_in_an_interactive_python(run: Path, settings: bool) -> None:
    """There, modules are also imported from the current folder, which must stay what it is."""
    if settings:
        (run.parent / "matplotlibrc").write_text("backend: nonsense\n")
    code = "import os, convnet; convnet.load_run('run').report(); print(os.getcwd())"
    done = subprocess.run([sys.executable, "-c", code], cwd=run.parent, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == str(run.parent), done.stderr


def test_the_settings_of_a_program_stay_its_own(run: Path) -> None:
    """A notebook, for example, draws figures of its own after a training."""
    (run.parent / "matplotlibrc").write_text("lines.linewidth: 7\n")
    code = "import convnet; convnet.load_run('run').report(); import matplotlib as mpl"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(mpl.get_backend(), mpl.rcParams['lines.linewidth'])"],
        cwd=run.parent,
        env={**os.environ, "MPLBACKEND": "svg"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["svg", "7.0"], done.stderr


def test_too_many_threads_are_limited(main: Run, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    status, said = main(
        "train", "data", "--model", "linear", "--epochs", 1, "--threads", 100_000, "--out", "t"
    )
    assert status == 0 and "are too many" in said and 0 < max(asked) < 5000
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    status, said = main("train", "data", "--model", "linear", "--epochs", 1, "--out", "u")
    assert status == 0 and "are too many" in said and max(asked) < 5000


def test_too_little_memory(tmp_path: Path) -> None:
    command = f"ulimit -v 900000; {sys.executable} -m convnet train digits --epochs 1 --out r"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) <= 12, done.stderr[-2000:]
