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
import convnet.experiments.recorder as recorder
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


def reference(folder: Path) -> tuple[dict[str, object], float]:
    """An uninterrupted run, and how long its process took."""
    begin = time.monotonic()
    assert start(folder, *TRAIN, "whole").wait() == 0
    return fingerprint(folder / "whole"), time.monotonic() - begin


def kill_and_resume(folder: Path, name: str, moments: list[float]) -> str:
    """Start a run, kill it after each of `moments` seconds, let it finish; says where the first kill hit."""
    run, places = folder / name, []
    for moment in moments:
        process = start(folder, *(("resume", name) if run.exists() else (*TRAIN, name)))
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not run.exists():
            places.append("before the run")
        elif (run / "result.json").exists():
            places.append("after the result")
        else:
            steps = run / "steps.csv"
            places.append(
                f"{max(0, steps.read_text().count(chr(10)) - 1)} steps" if steps.exists() else "0 steps"
            )
    finish = ("resume", name) if run.exists() else (*TRAIN, name)
    assert start(folder, *finish).wait() == 0
    return ", ".join(places)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], float]:
    folder = tmp_path_factory.mktemp("kills")
    return folder, *reference(folder)


@pytest.mark.parametrize("share", [0.4, 0.55, 0.65, 0.75, 0.85])
def test_killed_and_resumed(whole: tuple[Path, dict[str, object], float], share: float) -> None:
    folder, expected, seconds = whole
    kill_and_resume(folder, f"killed-{share}", [share * seconds])
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
            moment = dice.uniform(0.3, 1.0) * seconds
            place = kill_and_resume(folder, f"run-{i}", [moment])
            identical = fingerprint(folder / f"run-{i}") == expected
            same += identical
            verdict = "identical" if identical else "DIFFERENT"
            print(f"{i + 1:>3}  killed after {moment:5.2f} s ({place}): {verdict}", flush=True)
        print(f"{same} of {options.kills} identical")
        sys.exit(same != options.kills)


if __name__ == "__main__":
    main()
