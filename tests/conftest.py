"""Fixtures: real data where `CONVNET_DATA` points to it, and the command line as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import config, install_import_hook

# The suite runs as two processes, whose threads would be in each other's way; torch reads this when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shape annotations are checked while tests run; this must come before the modules are imported.
install_import_hook(
    ["convnet.layers", "convnet.models", "convnet.training.losses", "convnet.data.batches.augment"],
    "beartype.beartype",
)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from PIL import Image  # noqa: E402

PHOTOS = Path(__file__).parent / "data" / "photos"
"""Twenty real photos of two classes."""

Cli = Callable[..., subprocess.CompletedProcess[str]]

# The machines that run the tests are shared: how long an example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def real_data(name: str) -> Path:
    root = os.environ.get("CONVNET_DATA")
    if not root:
        pytest.skip("CONVNET_DATA is not set; it names a folder with real data sets")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    return real_data("mnist").parent


@pytest.fixture(scope="session")
def flowers() -> Path:
    return real_data("flowers")


@pytest.fixture(scope="session")
def odd_images() -> Path:
    return real_data("odd_images")


@pytest.fixture(scope="session")
def cifar10_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with CIFAR-10's official binary batches, unpacked from the real set."""
    script = real_data("cifar10") / "expand.py"
    if not script.exists():
        pytest.skip(f"no {script}")
    root = tmp_path_factory.mktemp("cifar")
    subprocess.run([sys.executable, script, root / "cifar10"], check=True, capture_output=True)
    return root


@contextmanager
def traceable() -> Iterator[None]:
    """A block in which shapes are not checked: while a network is traced, its sides are symbols."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the bundled digits."""
    import convnet

    out = tmp_path_factory.mktemp("run") / "digits"
    return convnet.train("digits", epochs=4, out=out, progress=False).path


@pytest.fixture(scope="session")
def digits_bundle(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle in all formats; not to be changed."""
    import convnet

    out = tmp_path_factory.mktemp("bundles") / "digits"
    with traceable():
        bundle = convnet.export(
            digits_run, out=out, formats=["onnx", "pt2"], quantize="int8", max_drop=0.2, name="digits"
        )
    return bundle.path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`cli("train", "digits", …)` runs the command line in an empty folder."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "convnet", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The same within the tests' own process, for many short commands."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        from convnet.cli.app import main

        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(sys, "argv", ["convnet", *map(str, arguments)])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            main()
            code: int | str | None = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(list(map(str, arguments)), int(code or 0), out, err)

    return run


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one message of a command that ended as bad input must."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    assert result.stdout == ""
    return result.stderr


def result_of(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Two classes of twelve pictures of different sizes and formats: red ones and blue ones."""
    generator = np.random.default_rng(0)
    root = tmp_path / "pictures"
    suffixes = ["jpg", "png", "webp", "bmp", "gif", "tiff"]
    for name, channel in (("red", 0), ("blue", 2)):
        (root / name).mkdir(parents=True)
        for i in range(12):
            height, width = generator.integers(20, 60, 2)
            pixels = generator.integers(0, 90, (height, width, 3), dtype=np.uint8)
            pixels[:, :, channel] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.{suffixes[i % 6]}")
    return root
