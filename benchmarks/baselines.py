"""Features and neighbors against scikit-image, scikit-learn and NumPy, in turn; medians and ratios.

python benchmarks/baselines.py [--rounds 7] [--data-dir DIR] [--only hog color l2 l1 memory]

`memory` measures in a process of its own what k-NN on all of CIFAR-10 takes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from convnet.device import set_threads
from convnet.settings import configure

Work = Callable[[], object]


def compare(name: str, rounds: int, ours: Work, theirs: Work, share: float = 1.0) -> None:
    """Time both in turn; `theirs` does that share of the work."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    ours()
    for place in range(rounds):
        order = [("ours", ours, 1.0), ("theirs", theirs, share)]
        for label, work, part in order if place % 2 else reversed(order):
            begun = time.perf_counter()
            work()
            times[label].append((time.perf_counter() - begun) / part)
    ratios = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
    mine, other = statistics.median(times["ours"]), statistics.median(times["theirs"])
    print(
        f"| {name} | {mine:.3f} s | {other:.3f} s | {statistics.median(ratios):.1f}× "
        f"({min(ratios):.1f}–{max(ratios):.1f}) | {rounds} |",
        flush=True,
    )


def hog(rounds: int) -> None:
    """1,000 images of 96×96, scikit-image's usual options."""
    from skimage.feature import hog as skimage_hog

    from convnet.features import FEATURES

    for channels, what in ((1, "gray"), (3, "color")):
        images = torch.rand(1000, channels, 96, 96, generator=torch.Generator().manual_seed(0))
        feature = FEATURES.build("hog", channels, (96, 96), block=3)
        arrays = images.permute(0, 2, 3, 1).numpy()
        arrays = arrays[..., 0] if channels == 1 else arrays
        axis = None if channels == 1 else -1
        few = arrays[:250]
        compare(
            f"HoG of 1,000 {what} images 96×96, scikit-image in a loop",
            rounds,
            lambda feature=feature, images=images: feature(images),
            lambda few=few, axis=axis: [skimage_hog(image, channel_axis=axis) for image in few],
            share=0.25,
        )


def color(rounds: int) -> None:
    """1,000 photos of 256×256, 8 bins a channel."""
    from convnet.features import FEATURES

    images = torch.rand(1000, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    feature = FEATURES.build("color", 3, (256, 256))
    few = images[:100].permute(0, 2, 3, 1).reshape(100, -1, 3).numpy()
    compare(
        "color histogram of 1,000 photos 256×256, numpy.histogramdd in a loop",
        rounds,
        lambda: feature(images),
        lambda: [np.histogramdd(pixels, 8, [(0, 1)] * 3) for pixels in few],
        share=0.1,
    )


def neighbors(metric: str, rounds: int) -> None:
    """2,000 queries against 60,000 digits, from labels to labels."""
    from sklearn.neighbors import KNeighborsClassifier

    from convnet.data import open_data
    from convnet.models.knn import NearestNeighbors

    dataset = open_data("mnist")
    pixels = dataset.images.float() / 255
    memory, asked, targets = pixels[:60_000], pixels[60_000:62_000], dataset.targets[:60_000]
    for k in (1, 5):
        model = NearestNeighbors(10, k, "l2" if metric == "l2" else "l1")
        model.fit(lambda: [(memory, targets)], None)
        rival = KNeighborsClassifier(
            k, algorithm="brute", metric="euclidean" if metric == "l2" else "manhattan", n_jobs=-1
        ).fit(memory.flatten(1).numpy(), targets.numpy())
        share = 1.0 if metric == "l2" else 0.05
        few = asked[: int(2000 * share)].flatten(1).numpy()
        assert np.array_equal(model(asked[: len(few)]).argmax(1).numpy(), rival.predict(few)) or k > 1
        compare(
            f"{k}-NN {metric.upper()}, 2,000 queries in 60,000 digits, scikit-learn's brute force",
            rounds,
            lambda model=model: model(asked),
            lambda rival=rival, few=few: rival.predict(few),
            share=share,
        )


def memory(data_dir: Path | None) -> None:
    """Peak resident memory of `convnet train knn-cifar10 --set model.metric=l2`, from start to report."""
    code = "import sys; from convnet.cli.app import main; sys.argv[0] = 'convnet'; main()"
    command = [sys.executable, "-c", code, "train", "knn-cifar10", "--set", "model.metric=l2"]
    where = ["--data-dir", str(data_dir)] if data_dir else []
    subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory of k-NN on CIFAR-10, 10,000 queries in 50,000 images: {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", nargs="*", default=["hog", "color", "l2", "l1", "memory"])
    arguments = parser.parse_args()
    if arguments.data_dir:
        configure(data_dir=arguments.data_dir)
    set_threads(None)
    print("| | convnet | rival | ratio (range) | n |\n|---|---|---|---|---|")
    if "hog" in arguments.only:
        hog(arguments.rounds)
    if "color" in arguments.only:
        color(arguments.rounds)
    for metric in ("l2", "l1"):
        if metric in arguments.only:
            neighbors(metric, arguments.rounds)
    if "memory" in arguments.only:
        memory(arguments.data_dir)


if __name__ == "__main__":
    main()
