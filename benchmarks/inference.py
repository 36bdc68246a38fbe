"""Seconds per batch of exported bundles, against PyTorch, torch.compile, ONNX Runtime and OpenVINO.

    python benchmarks/inference.py PHOTOS [--models resnet18 efficientnet-lite0 resnet9] [--rounds 15]

Every contender is a process of its own with the same weights, and they take turns, one batch each. `bundle`
is `load_bundle(...).predict` on arrays with the backend that `convnet export --tune` chose, `int8` the same
with --precision int8. `files` compares the whole path from JPEG files to classes with a script that uses
Pillow and PyTorch. Figures are medians, ratios medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import convnet
from convnet.export import load_bundle
from convnet.export.tuning import tune

SIDES = {"resnet9": 32, "lenet5": 32}
CONTENDERS = ("bundle", "eager", "compile", "onnxruntime", "openvino", "int8")
FILES = ("bundle-files", "pillow-files", "int8-files")
HERE = Path(__file__).parent
PAUSE = 0.2
"""Seconds between two contenders: threads of the earlier one wait actively for further work."""


def bundle_of(name: str, photos: Path, folder: Path) -> Path:
    """A bundle of a network that was trained for one epoch; the weights do not matter here."""
    side = SIDES.get(name, 224)
    run = convnet.train(
        photos,
        model={"name": name},
        weights=None,
        epochs=1,
        out=folder / f"{name}-run",
        preprocess={"image_size": side},
        progress=False,
    )
    out = folder / name
    return convnet.export(run, out=out, formats=["onnx"], quantize="int8", max_drop=1.0).path


class Process:
    """A contender in a process of its own, which measures one batch per line."""

    def __init__(self, kind: str, bundle: Path, photos: Path, batch: int) -> None:
        command = [sys.executable, HERE / "inference_contenders.py", kind, bundle, photos, str(batch)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
        )

    def measure(self) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(kinds: tuple[str, ...], bundle: Path, photos: Path, batch: int, rounds: int) -> None:
    """Print milliseconds per batch, and how many times as fast the first is."""
    processes = {kind: Process(kind, bundle, photos, batch) for kind in kinds}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, process in processes.items():
            time.sleep(PAUSE)
            seconds = process.measure()
            if number:  # the first batches allocate and compile
                times[kind].append(seconds)
    for process in processes.values():
        process.close()
    first = times[kinds[0]]
    for kind, taken in times.items():
        ratio = statistics.median(t / f for t, f in zip(taken, first, strict=True))
        print(f"  {kind:<14} {1e3 * statistics.median(taken):>9.2f} ms  {ratio:6.2f}×", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--models", nargs="+", default=["resnet18", "efficientnet-lite0", "resnet9"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--folder", type=Path, default=Path("inference"), help="for runs and bundles")
    arguments = parser.parse_args()
    for name in arguments.models:
        bundle = arguments.folder / name
        if not bundle.exists():
            bundle = bundle_of(name, arguments.photos, arguments.folder)
        for precision in ("fp32", "int8"):
            tune(load_bundle(bundle, precision=precision))
        for batch in arguments.batches:
            print(f"{name}, batch {batch}: arrays → classes")
            compare(tuple(arguments.contenders), bundle, arguments.photos, batch, arguments.rounds)
        print(f"{name}, batch 32: JPEG files → classes")
        compare(FILES, bundle, arguments.photos, 32, max(1, arguments.rounds // 2))


if __name__ == "__main__":
    main()
