"""The share of the machine's bf16 convolution peak that a training rate reaches.

    python benchmarks/peak_share.py lecture-mnist=9995 resnet9=275 [--batch 64]

The peak is the best rate of a 3×3 convolution of 256 to 256 channels; a training step counts as three
forward passes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convnet.models import build_model
from convnet.types import ImageShape

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


def peak(batch: int) -> float:
    """FLOP/s of the best of 20 convolutions, bf16, channels-last."""
    x = torch.randn(batch, 256, 28, 28).bfloat16().to(memory_format=torch.channels_last)
    w = torch.randn(256, 256, 3, 3).bfloat16().to(memory_format=torch.channels_last)
    flops, best = 2 * batch * 28 * 28 * 256 * 256 * 9, 0.0
    for _ in range(20):
        start = time.perf_counter()
        F.conv2d(x, w, padding=1)
        best = max(best, flops / (time.perf_counter() - start))
    return best


def flops_per_image(network: str) -> int:
    shape = ImageShape(1, 28, 28) if network == "lecture-mnist" else ImageShape(3, 32, 32)
    model = build_model("own_network:resnet18" if network == "resnet18" else network, shape, 10).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    return int(counter.get_total_flops())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rates", nargs="+", metavar="NETWORK=IMAGES_PER_SECOND")
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    best = peak(arguments.batch)
    print(f"bf16 convolution peak {best / 1e9:,.0f} GFLOP/s")
    for argument in arguments.rates:
        network, rate = argument.split("=")
        used = 3 * flops_per_image(network) * float(rate)
        print(f"{network}: {used / 1e9:,.0f} GFLOP/s, {used / best:.0%} of it")
