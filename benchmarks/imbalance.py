"""Balanced accuracy on MNIST with half of the digits a hundred times rarer than the others.

    python benchmarks/imbalance.py --data-dir DATA [--seeds 3] [--epochs 3] [--common 2000] [--test 10000]

Digits 0–4 have `--common` training images each, 5–9 a hundredth of it. Evaluated on the whole test split
unless `--test` is smaller.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

import convnet
from convnet.data import all_images, labels_of, named_set
from convnet.settings import configure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--common", type=int, default=2000)
    parser.add_argument("--test", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.data_dir:
        configure(data_dir=arguments.data_dir)
    common, dataset = arguments.common, named_set("mnist")
    images, labels = all_images(dataset)[:, 0].numpy(), labels_of(dataset).numpy()
    train = np.array(dataset.info.given_split) == "train"
    kept = np.concatenate(
        [(train & (labels == k)).nonzero()[0][: common if k < 5 else common // 100] for k in range(10)]
    )
    test = (~train).nonzero()[0][: arguments.test]
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "unbalanced.npz"
        np.savez(data, x_train=images[kept], y_train=labels[kept], x_test=images[test], y_test=labels[test])
        done = convnet.compare(
            data,
            {"balance": ["none", "weights", "sampler", "focal"]},
            seeds=arguments.seeds,
            epochs=arguments.epochs,
            augment={"flip": False, "random_resized_crop": None, "shift": 2},
            batch_size=128,
            out=f"{place}/compare",
        )
        print(f"{'balance':<10} {'balanced accuracy':>20} {'accuracy':>20} {'recall of 5–9':>15}")
        for name, runs in done.runs.items():
            figures = [
                (run.result["test"]["balanced_accuracy"], run.result["test"]["accuracy"], rare_recall(run))
                for run in runs
            ]
            means, spread = np.mean(figures, 0), np.std(figures, 0, ddof=1) if len(figures) > 1 else [0] * 3
            cells = [f"{m:.2%} ± {s:.2%}" for m, s in zip(means, spread, strict=True)]
            print(f"{name:<10} {cells[0]:>20} {cells[1]:>20} {cells[2]:>15}")


def rare_recall(run: convnet.Run) -> float:
    found = run.evaluate()
    return float(torch.tensor([row["recall"] for row in found.per_class()][5:]).mean())


if __name__ == "__main__":
    main()
