"""Images per second of whole training epochs, against rivals, interleaved in one run.

Every contender is a process of its own that stays alive and trains a stretch of batches when told to. The
stretches take turns, so that a machine whose speed drifts slows all of them alike; what counts is the
ratio of each stretch to its neighbours, and the median of those ratios.

    python benchmarks/training_speed.py --network lecture-mnist --data-dir DATA
    python benchmarks/training_speed.py --network resnet9 --rounds 5 --steps 20 --data-dir DATA
    … --keras PYTHON   also Keras, from an interpreter that has keras, tensorflow-cpu and torch
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TORCH_CONTENDERS = ("convnet", "convnet-fp32", "bare", "tutorial")
KERAS_CONTENDERS = ("keras-tensorflow", "keras-tensorflow-bf16", "keras-torch")


class Contender:
    """A worker process: `go()` trains one stretch and returns its images per second."""

    def __init__(self, name: str, python: str, script: str, arguments: list[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [python, str(HERE / script), name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()  # ready, warmed up

    def go(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                return line[1:].strip()
        sys.exit(f"{self.name} ended early")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--network", default="lecture-mnist", choices=["lecture-mnist", "resnet9", "resnet18"]
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="batches of 128 per stretch")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--keras", help="a Python that has keras, tensorflow-cpu and torch")
    parser.add_argument("--only", nargs="*", help="contenders to run; convnet always runs")
    options = parser.parse_args()

    arguments = [options.network, str(options.steps), options.data_dir]
    wanted = [(name, sys.executable, "torch_contenders.py") for name in TORCH_CONTENDERS]
    if options.keras and options.network == "lecture-mnist":
        wanted += [(name, options.keras, "keras_contenders.py") for name in KERAS_CONTENDERS]
    if options.only is not None:
        wanted = [w for w in wanted if w[0] == "convnet" or w[0] in options.only]
    contenders = [Contender(*w, arguments) for w in wanted]
    rates: dict[str, list[float]] = {c.name: [] for c in contenders}
    for _ in range(options.rounds):
        for contender in contenders:
            rates[contender.name].append(contender.go())
    for contender in contenders:
        contender.end()

    print(f"{options.network}, {options.rounds} rounds of {options.steps} batches of 128, images per second")
    print(f"{'':<24}{'median':>9}{'min':>9}{'max':>9}   convnet is")
    table = {}
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rates["convnet"], values, strict=True))
        median = statistics.median(values)
        table[name] = {"median": median, "ratio": ratio}
        print(f"{name:<24}{median:>9.0f}{min(values):>9.0f}{max(values):>9.0f}   {ratio:.2f}×")
    print(json.dumps(table))


if __name__ == "__main__":
    main()
