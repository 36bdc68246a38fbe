"""Images per second of whole training epochs, against rivals, interleaved in one run.

Every contender trains a stretch of batches when told to, in a process that stays alive. The stretches take
turns, in a new order each round, so that a machine whose speed drifts slows all of them alike; what counts is
the ratio of each stretch to its neighbors, and the median of those ratios. Where a process lies in memory is
worth several per cent too, so all are started anew a few times.

    python benchmarks/training_speed.py --network lecture-mnist --data-dir DATA
    python benchmarks/training_speed.py --network resnet9 --steps 4 --data-dir DATA
    … --keras PYTHON   also Keras, from an interpreter that has keras, tensorflow-cpu and torch
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TORCH_PROCESSES = {
    "convnet": ("convnet", "bare"),
    "convnet-fp32": ("convnet-fp32",),
    "tutorial": ("tutorial",),
}
KERAS_PROCESSES = ("keras-tensorflow", "keras-tensorflow-bf16", "keras-torch")


class Worker:
    """A process with one or two contenders: `go(name)` trains one stretch, returns images per second."""

    def __init__(
        self, name: str, contenders: tuple[str, ...], python: str, script: str, arguments: list[str]
    ) -> None:
        self.name, self.contenders = name, contenders
        self.process = subprocess.Popen(
            [python, str(HERE / script), name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()  # ready, warmed up

    def go(self, contender: str) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{contender}\n")
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
    parser.add_argument("--launches", type=int, default=3, help="how often all are started anew")
    parser.add_argument("--rounds", type=int, default=3, help="stretches of each per launch")
    parser.add_argument("--steps", type=int, default=100, help="batches of 128 per stretch")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--keras", help="a Python that has keras, tensorflow-cpu and torch")
    options = parser.parse_args()

    arguments = [options.network, str(options.steps), options.data_dir]
    wanted = [(n, names, sys.executable, "torch_contenders.py") for n, names in TORCH_PROCESSES.items()]
    if options.keras and options.network == "lecture-mnist":
        wanted += [(name, (name,), options.keras, "keras_contenders.py") for name in KERAS_PROCESSES]
    rates: dict[str, list[float]] = {name: [] for _, names, _, _ in wanted for name in names}
    for _ in range(options.launches):
        workers = [Worker(*w, arguments) for w in wanted]
        turns = [(worker, contender) for worker in workers for contender in worker.contenders]
        for _ in range(options.rounds):
            random.shuffle(turns)  # who goes on in a warm process has an advantage
            for worker, contender in turns:
                rates[contender].append(worker.go(contender))
        for worker in workers:
            worker.end()

    rounds = f"{options.launches}×{options.rounds} rounds of {options.steps} batches of 128"
    print(f"{options.network}, {rounds}, images per second")
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
