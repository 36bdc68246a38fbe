"""Every benchmark runs, on next to nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PHOTOS, real_data

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
WORKERS = {"torch_contenders.py", "folder_contenders.py", "photos.py", "keras_model.py"}
"""Modules that other benchmarks run or import."""
RIVALS = {
    "keras_accuracy.py": "keras", "keras_contenders.py": "keras", "keras_folder.py": "keras",
    "summary.py": "torchinfo", "torchinfo_comparison.py": "torchinfo",
}  # fmt: skip
"""Benchmarks that need a rival which is not among the dependencies."""
COMMANDS: dict[str, list[str]] = {
    "baseline_accuracy.py": ["--only", "tumours", "--seeds", "1"],
    "baselines.py": ["--only", "hog", "color", "--rounds", "1"],
    "decode.py": ["--rounds", "1", "--photos", "20"],
    "folder_training.py": [str(PHOTOS), "--rounds", "1", "--batch", "10"],
    "imbalance.py": ["--seeds", "1", "--epochs", "1", "--data-dir", "DATA"],
    "many_files.py": ["--files", "60", "--seconds", "5"],
    "overfit.py": [str(PHOTOS), "--networks", "resnet18", "--batch-size", "10"],
    "peak_share.py": ["lecture-mnist=1000"],
    "training_speed.py": ["--launches", "1", "--rounds", "1", "--steps", "2", "--data-dir", "DATA"],
    "beyond_labels.py": ["series", "--data-dir", "DATA", "--seeds", "1"],
}


def test_every_benchmark_has_a_smoke_test() -> None:
    assert {p.name for p in BENCHMARKS.glob("*.py")} == {*COMMANDS, *WORKERS, *RIVALS}


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(COMMANDS))
def test_benchmark(script: str, tmp_path: Path) -> None:
    data = str(real_data("mnist").parent) if "DATA" in COMMANDS[script] else ""
    arguments = [data if word == "DATA" else word for word in COMMANDS[script]]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip(), "it prints its figures"


@pytest.mark.parametrize("script", sorted(RIVALS))
def test_benchmark_against_a_rival_compiles(script: str) -> None:
    """It is run where the rival is installed; everywhere else its imports of this package must hold."""
    if importlib.util.find_spec(RIVALS[script]) is not None:
        pytest.skip(f"{RIVALS[script]} is installed: run it")
    source = (BENCHMARKS / script).read_text()
    compile(source, script, "exec")
    for line in source.splitlines():
        if line.startswith("from convnet"):
            exec(line)
