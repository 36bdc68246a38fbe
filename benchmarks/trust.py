"""Calibration, unknown images and label review on real data.

    python benchmarks/trust.py calibration RECIPE [--seeds 3] [--unknown FOLDER]
    python benchmarks/trust.py review DATA.npz [--flipped 0.02]

`calibration` trains a recipe and prints the calibration error before and after temperature scaling on the
whole test split, and how well images of other classes are recognized. `review` changes labels at random,
trains, and prints precision and recall of `convnet review`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

import convnet
from convnet.data import all_images, location, open_data
from convnet.workflows.details import details_of
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.review import review_labels

KEYS = ("accuracy", "ece_uncalibrated", "ece", "brier_uncalibrated", "brier")
NAMES = ("accuracy", "ECE before", "ECE after", "Brier before", "Brier after", "AUROC", "called unknown")


def calibration(recipe: str, seeds: int, unknown: str | None, epochs: int | None) -> None:
    rows = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            options = {} if epochs is None else {"epochs": epochs}
            run = convnet.train(recipe, out=Path(folder) / "run", seed=seed, progress=False, **options)
            measured = evaluate_run(run)
            figures = measured.figures()
            row = [figures[key] for key in KEYS]
            if unknown is not None:
                found = details_of(measured, full=False, unknown=unknown).unknown
                assert found is not None
                row += [found.auroc[found.score or "max-probability"], found.rejected or 0.0]
            rows.append(row)
            print(f"seed {seed}  " + "  ".join(f"{value:.4f}" for value in row), flush=True)
    for name, values in zip(NAMES, zip(*rows, strict=True), strict=False):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:<16} {statistics.fmean(values):.4f} ± {spread:.4f}  (n = {len(values)} seeds)")


def review(data: str, flipped: float, epochs: int, model: str) -> None:
    dataset = open_data(data)
    labels, generator = dataset.targets.numpy().copy(), np.random.default_rng(0)
    classes = len(dataset.info.classes)
    wrong = generator.choice(len(labels), round(flipped * len(labels)), replace=False)
    labels[wrong] = (labels[wrong] + generator.integers(1, classes, len(wrong))) % classes
    images = all_images(dataset).numpy().transpose(0, 2, 3, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flipped.npz"
        np.savez(path, images=images, labels=labels)
        run = convnet.train(path, model=model, epochs=epochs, out=Path(folder) / "run", progress=False)
        found = {suspect.index for suspect in review_labels(run).suspects}
        assert location(open_data(str(path)), 0).endswith("[0]"), "the samples keep their order"
    hits = len(found & set(wrong.tolist()))
    print(f"{len(labels):,} labels, {len(wrong):,} wrong, {len(found):,} suspects")
    print(f"precision {hits / max(1, len(found)):.3f}  recall {hits / len(wrong):.3f}")


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=("calibration", "review"))
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--unknown")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--flipped", type=float, default=0.02)
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    with convnet.use_settings(data_dir=given.data_dir):
        if given.what == "calibration":
            calibration(given.data, given.seeds, given.unknown, given.epochs)
        else:
            review(given.data, given.flipped, given.epochs or 5, given.model)


if __name__ == "__main__":
    main()
