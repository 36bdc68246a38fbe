"""A run that is killed at any point and resumed ends bit for bit like one that was not.

As a script, it kills as many runs as asked, at random times:

    python tests/workflows/test_kill.py --kills 50
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

# The run saves after every step. With KILL="file 7", it is killed when the seventh version of that file is
# complete but not yet in place.
COMMAND = """
import os, signal, sys
from pathlib import Path
import convnet.workflows.recorder as recorder
recorder.SAVE_EVERY_SECONDS = 0.0
if "KILL" in os.environ:
    file, left = os.environ["KILL"].split()
    left, replace = int(left), Path.replace
    def kill(temporary, target):
        global left
        left -= Path(target).name == file
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(temporary, target)
    Path.replace = kill
from convnet.cli.app import main
sys.argv = ["convnet", *sys.argv[1:]]
main()
"""
SETTINGS = ["--set", "optimizer.weight_decay=0.01", "--set", "ema=0.99"]
TRAIN = ["train", "digits", "--epochs", "2", "--keep-checkpoints", *SETTINGS, "--out"]


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def fingerprint(run: Path) -> dict[str, object]:
    """The contents of a run that must not depend on interruptions: all but measurements of time."""
    with (run / "metrics.csv").open(newline="") as file:
        metrics = [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]
    result = json.loads((run / "result.json").read_text())
    timeless = {k: v for k, v in result.items() if "second" not in k and k != "run"}
    files = ("model.safetensors", "checkpoints/last.safetensors", "steps.csv", "predictions.csv", "split.csv")
    return {"metrics": metrics, "result": timeless} | {name: (run / name).read_bytes() for name in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    assert start(folder, *TRAIN, "whole").wait() == 0
    return folder / "whole"


@pytest.mark.parametrize(
    "kill",
    ["last.safetensors 1", "predictions.csv 1", pytest.param("last.safetensors 30", marks=pytest.mark.slow)],
)
def test_killed_and_resumed(whole: Path, kill: str) -> None:
    folder, name = whole.parent, kill.replace(" ", "-")
    assert start(folder, *TRAIN, name, KILL=kill).wait() == -signal.SIGKILL
    assert not (folder / name / "result.json").exists()
    assert start(folder, "resume", name).wait() == 0
    assert fingerprint(folder / name) == fingerprint(whole)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> float:
    """The time at which `path` appeared."""
    while not path.exists():
        assert process.poll() is None, f"ended without {path.name}"
        time.sleep(0.001)
    return time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = start(folder, *TRAIN, "whole")
        began = wait_for(folder / "whole", process)
        seconds = wait_for(folder / "whole" / "result.json", process) - began
        assert process.wait() == 0
        expected = fingerprint(folder / "whole")
        same = 0
        for i in range(options.kills):
            moment = dice.uniform(0.0, 1.1) * seconds
            process = start(folder, *TRAIN, f"run-{i}")
            wait_for(folder / f"run-{i}", process)
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert start(folder, "resume", f"run-{i}").wait() == 0
            identical = fingerprint(folder / f"run-{i}") == expected
            same += identical
            verdict = "identical" if identical else "DIFFERENT"
            print(f"{i + 1:>3}  killed {moment:5.2f} s into the run: {verdict}", flush=True)
        print(f"{same} of {options.kills} identical")
        sys.exit(same != options.kills)


if __name__ == "__main__":
    main()
