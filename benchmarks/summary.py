"""Layer tables as whole processes: `convnet summary` against torchinfo, time and peak memory.

    python benchmarks/summary.py [--rounds 7]

Processes take turns in random order; figures are medians over the rounds, ratios the medians of the
ratios within a round. `import torch` alone is measured too, to show what the tables cost on top of it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time

TORCHINFO = """
from torch import nn
from torchinfo import summary
{network}
print(summary(model, (1, 3, 224, 224)))
"""
VGG_E = """
layers, channels = [], 3
for width, depth in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)]
        channels = width
    layers.append(nn.MaxPool2d(2))
layers += [nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096)]
layers += [nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 1000)]
model = nn.Sequential(*layers)
"""
RESNET_152 = """
from convnet.models import build_model
from convnet.types import ImageShape
model = build_model("resnet152", ImageShape(3, 224, 224), 1000, init="torch")
"""
CONTENDERS = {
    "import torch": ["-c", "import torch"],
    "convnet summary vgg-e": ["-m", "convnet", "summary", "vgg-e", "--input", "3x224x224"],
    "torchinfo vgg-e": ["-c", TORCHINFO.format(network=VGG_E)],
    "convnet summary resnet152": ["-m", "convnet", "summary", "resnet152"],
    "torchinfo resnet152": ["-c", TORCHINFO.format(network=RESNET_152)],
}


def metric(arguments: list[str]) -> tuple[float, float]:
    """Seconds from start to exit, and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    process.returncode = 0
    return time.perf_counter() - start, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    for round_ in range(rounds + 1):
        for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
            figures = metric(CONTENDERS[name])
            if round_:  # the first fills the disk's cache
                measured[name].append(figures)
    bare = statistics.median(memory for _, memory in measured["import torch"])
    for name, figures in measured.items():
        seconds = statistics.median(seconds for seconds, _ in figures)
        memory = statistics.median(memory for _, memory in figures)
        print(f"{name:<28} {seconds:6.2f} s   {memory:7.0f} MB   {memory - bare:+7.0f} MB over import torch")
    for network in ("vgg-e", "resnet152"):
        ours, theirs = measured[f"convnet summary {network}"], measured[f"torchinfo {network}"]
        ratio = statistics.median(b[0] / a[0] for a, b in zip(ours, theirs, strict=True))
        print(f"{network}: torchinfo takes {ratio:.2f} times as long (n = {len(ours)})")


if __name__ == "__main__":
    main()
