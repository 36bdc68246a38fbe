"""Memory, and the time to the first step, of training on a folder of very many images.

    python benchmarks/many_files.py [--files 200000] [--seconds 60]

Pictures of 96×96 in ten classes; lenet5 at 64 pixels, in a process of its own that is stopped after some
time. Reported are the largest resident memory, and the seconds from the start of Python to the first step.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from photos import sample_photos
from PIL import Image

SIDE = 96
DISTINCT = 2000
CHILD = """
import sys, time
import convnet
from convnet.training import StepEnd

def first_step(event, told=[]):
    if isinstance(event, StepEnd) and not told:
        told.append(True)
        print(time.time(), flush=True)

convnet.train(
    sys.argv[1], out=sys.argv[1] + "-run", model="lenet5", preprocess={"image_size": 64}, epochs=1,
    listeners=[first_step],
)
"""


def write_files(root: Path, count: int) -> None:
    """Small pictures, of which every `DISTINCT`th is the same."""
    contents = []
    for photo in sample_photos(DISTINCT):
        small = io.BytesIO()
        Image.open(io.BytesIO(photo)).resize((SIDE, SIDE)).save(small, "JPEG")
        contents.append(small.getvalue())
    for number in range(10):
        (root / f"class_{number}").mkdir(parents=True)
    for i in range(count):
        (root / f"class_{i % 10}" / f"{i:07d}.jpg").write_bytes(contents[i % DISTINCT])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "photos"
        write_files(root, arguments.files)
        os.sync()
        environment = {**os.environ, "XDG_CACHE_HOME": f"{place}/cache"}
        begun = time.time()
        command = [sys.executable, "-c", CHILD, str(root)]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        print(f"first step after {float(child.stdout.readline()) - begun:.1f} s")
        time.sleep(max(0.0, begun + arguments.seconds - time.time()))
        child.send_signal(signal.SIGKILL)
        _, _, usage = os.wait4(child.pid, 0)
        print(f"largest resident memory {usage.ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
