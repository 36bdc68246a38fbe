"""Epochs of ResNet-18 at 160 pixels on a folder of photos, against what people would write instead.

    python benchmarks/folder_training.py FOLDER [--keras PYTHON] [--rounds 5]

Contenders train a whole epoch when told to, each in a process that stays alive; first epochs begin with
nothing decoded. They take turns in a new order each round; figures are medians, ratios medians of the ratios
within each round. FOLDER has a subfolder per class (of photos.py, or train/ of one's own).
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def epoch(name: str, python: str, folder: Path, batch: int) -> dict[str, float]:
    """Seconds of the first and the second epoch of a fresh process, and the share of waiting for data."""
    script = "keras_folder.py" if name == "keras" else "folder_contenders.py"
    command = [python, str(HERE / script), name, str(folder), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("@")]
    if not lines:
        sys.exit(f"{name} ended early:\n{done.stderr[-2000:]}")
    first, later, waiting = map(float, lines[-1][1:].split())
    return {"first": first, "later": later, "waiting": waiting}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keras", help="an interpreter that has keras and tensorflow-cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    pythons = {"convnet": sys.executable, "dataloader": sys.executable}
    if arguments.keras:
        pythons["keras"] = arguments.keras
    found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    order = list(pythons)
    for _ in range(arguments.rounds):
        random.shuffle(order)
        for name in order:
            found[name].append(epoch(name, pythons[name], arguments.folder.absolute(), arguments.batch))
            print(name, found[name][-1], flush=True)
    for which in ("first", "later"):
        print(f"{which} epoch, seconds (n = {arguments.rounds})")
        for name, rows in found.items():
            ratios = [row[which] / own[which] for row, own in zip(rows, found["convnet"], strict=True)]
            median = statistics.median(row[which] for row in rows)
            print(f"  {name:<12} {median:8.1f}  {statistics.median(ratios):5.2f}×")
    waiting = statistics.median(row["waiting"] for row in found["convnet"])
    print(f"convnet waits for data {waiting:.1%} of a later epoch")


if __name__ == "__main__":
    main()
