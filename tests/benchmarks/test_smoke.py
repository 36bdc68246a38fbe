"""Every benchmark runs, with as little data as possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PHOTOS, real_data

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
RUNS = PHOTOS.parent / "runs"
IMPORTED = {
    "keras_model.py",
    "photos.py",
    "torch_contenders.py",
    "folder_contenders.py",
    "transfer_contenders.py",
    "inference_contenders.py",
    "serving_litserve.py",
}
"""Modules that other benchmarks import or start."""
COMMANDS = {
    "baseline_accuracy.py": "--only tumours --seeds 1 --folds 2",
    "baselines.py": "--only hog color --rounds 1",
    "beyond_labels.py": "tiles --run RUN --image PHOTOS/flower/00.jpg",
    "decode.py": "--rounds 1 --photos 20",
    "exported_accuracy.py": "DIGITS BUNDLE",
    "folder_training.py": "PHOTOS --rounds 1 --batch 10",
    "imbalance.py": "--seeds 1 --epochs 1 --common 100 --test 200 --data-dir DATA",
    "inference.py": "PHOTOS --models lenet5 --batches 1 --rounds 1 --contenders bundle onnxruntime openvino",
    "serving.py": "BUNDLE PHOTOS/flower/00.jpg --seconds 1 --rounds 1",
    "keras_accuracy.py": "--seeds 1 --epochs 1 --images 1000 --data-dir DATA",
    "keras_contenders.py": "keras-torch lecture-mnist 2 DATA",
    "many_files.py": "--files 60 --seconds 1",
    "overfit.py": "PHOTOS --networks resnet18 --batch-size 10",
    "peak_share.py": "lecture-mnist=1000 --batch 1",
    "studio.py": "--word digits --seconds 0.5 --rounds 1",
    "summary.py": "--rounds 1",
    "torchinfo_comparison.py": "",
    "transfer.py": "curve PHOTOS --seeds 1 --per-class 5",
    "trust.py": "calibration digits --epochs 2 --unknown PHOTOS",
    "training_speed.py": "--launches 1 --rounds 1 --steps 2 --data-dir DATA",
}
TENSORFLOW = {"keras_folder.py"}
"""`image_dataset_from_directory` needs TensorFlow, which is too large for the `dev` extra."""


def test_every_benchmark_has_a_smoke_test() -> None:
    assert {path.name for path in BENCHMARKS.glob("*.py")} == {*COMMANDS, *IMPORTED, *TENSORFLOW}


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(COMMANDS))
def test_benchmark(script: str, tmp_path: Path, digits_run: Path, digits_bundle: Path) -> None:
    if script == "serving.py" and shutil.which("hey") is None:
        pytest.skip("needs the load generator hey")
    command = COMMANDS[script].replace("PHOTOS", str(PHOTOS)).replace("RUN", str(RUNS / "segmentation"))
    command = command.replace("BUNDLE", str(digits_bundle)).replace("DIGITS", str(digits_run))
    if "DATA" in command:
        command = command.replace("DATA", str(real_data("mnist").parent))
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *command.split()],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        input="go\n",  # the contenders of Keras measure once for each line
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert any(character.isdigit() for character in done.stdout), "it prints figures"
