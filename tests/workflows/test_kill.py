"""A run that is killed at any moment and resumed ends like one that was not: bit for bit.

As a script it does so as often as it is told:

    python tests/experiments/test_kill.py --kills 50
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

# Checkpoints within the epoch come as often as possible, so that kills land in the middle of writing them.
COMMAND = """
import sys
import convnet.workflows.recorder as recorder
recorder.SAVE_EVERY_SECONDS = 0.0
from convnet.cli.app import main
sys.argv = ["convnet", *sys.argv[1:]]
main()
"""
TRAIN = [
    "train",
    "digits",
    "--epochs",
    "3",
    "--set",
    "optimizer.weight_decay=0.01",
    "--set",
    "ema=0.99",
    "--out",
]


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], cwd=folder, stdout=quiet, stderr=quiet
    )


def fingerprint(run: Path) -> dict[str, object]:
    """Everything of a run that must not depend on interruptions: all but measurements of time."""
    with (run / "metrics.csv").open(newline="") as file:
        metrics = [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]
    result = json.loads((run / "result.json").read_text())
    timeless = {k: v for k, v in result.items() if "second" not in k and k != "run"}
    files = ("model.safetensors", "checkpoints/last.safetensors", "steps.csv", "predictions.csv", "split.csv")
    return {"metrics": metrics, "result": timeless} | {name: (run / name).read_bytes() for name in files}


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> float:
    """When `path` appeared."""
    while not path.exists():
        assert process.poll() is None, f"ended without {path.name}"
        time.sleep(0.001)
    return time.monotonic()


def reference(folder: Path) -> tuple[dict[str, object], float]:
    """An uninterrupted run, and the seconds between its folder's appearance and its result's."""
    process = start(folder, *TRAIN, "whole")
    begin = wait_for(folder / "whole", process)
    seconds = wait_for(folder / "whole" / "result.json", process) - begin
    assert process.wait() == 0
    return fingerprint(folder / "whole"), seconds


def kill_and_resume(folder: Path, name: str, moment: float) -> str:
    """Start a run, kill it `moment` seconds after its folder appeared, let it finish; says where that was."""
    run = folder / name
    process = start(folder, *TRAIN, name)
    wait_for(run, process)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = run / "steps.csv"
    done = max(0, steps.read_text().count("\n") - 1) if steps.exists() else 0
    place = "after the result" if (run / "result.json").exists() else f"after {done} steps"
    assert start(folder, "resume", name).wait() == 0
    return place


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], float]:
    folder = tmp_path_factory.mktemp("kills")
    return folder, *reference(folder)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_killed_and_resumed(whole: tuple[Path, dict[str, object], float], share: float) -> None:
    folder, expected, seconds = whole
    kill_and_resume(folder, f"killed-{share}", share * seconds)
    assert fingerprint(folder / f"killed-{share}") == expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected, seconds = reference(folder)
        same = 0
        for i in range(options.kills):
            moment = dice.uniform(0.0, 1.1) * seconds
            place = kill_and_resume(folder, f"run-{i}", moment)
            identical = fingerprint(folder / f"run-{i}") == expected
            same += identical
            verdict = "identical" if identical else "DIFFERENT"
            print(f"{i + 1:>3}  killed {moment:5.2f} s into the run, {place}: {verdict}", flush=True)
        print(f"{same} of {options.kills} identical")
        sys.exit(same != options.kills)


if __name__ == "__main__":
    main()
