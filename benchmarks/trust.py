"""Calibration, unknown images and label review on real data.

    python benchmarks/trust.py calibration RECIPE [--seeds 3] [--unknown FOLDER] [--set KEY=VALUE]
    python benchmarks/trust.py calibration RECIPE --classes A,B,C
    python benchmarks/trust.py explain RUN --image IMAGE [--rounds 5]
    python benchmarks/trust.py review DATA_OR_FOLDER [--flipped 0.02] [--set KEY=VALUE]

`calibration` trains a recipe and prints the calibration error before and after temperature scaling on the
whole test split, and how well images of other classes are recognized: those in a folder, or with `--classes`,
which trains on some classes only, the test images of all others. `review` changes labels at random,
trains, and prints precision and recall of `convnet review`. `explain` prints the median time of whole
processes: `convnet explain` and, as the least that it can take, `convnet predict`; they take turns.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

import convnet
from convnet.data import all_images, location, open_data
from convnet.outputs import to_png
from convnet.recipes.overrides import parse_assignments
from convnet.recipes.resolve import choose_recipe
from convnet.tasks import as_picture
from convnet.workflows.details import details_of
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.review import review_labels

Options = dict[str, Any]
KEYS = ("accuracy", "ece_uncalibrated", "ece", "brier_uncalibrated", "brier")
NAMES = ("accuracy", "ECE before", "ECE after", "Brier before", "Brier after", "AUROC", "called unknown")


def calibration(recipe: str, seeds: int, unknown: str | None, classes: str | None, options: Options) -> None:
    rows = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            if classes is not None:
                options = {**options, "data.classes": classes.split(",")}
                unknown = str(write_others(recipe, classes.split(","), Path(folder) / "others"))
            seeds_of = {"seed": seed, "split.seed": seed}
            out = Path(folder) / "run"
            run = convnet.train(recipe, out=out, progress=False, **seeds_of, **options)
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


def write_others(recipe: str, classes: Sequence[str], folder: Path) -> Path:
    """Write the test images of the classes that are not named as PNG files."""
    dataset = open_data(choose_recipe(recipe).data.source)
    left_out = {i for i, name in enumerate(dataset.info.classes) if name not in classes}
    given = dataset.info.given_split
    assert given is not None, "the data brings a test split"
    chosen = [i for i, k in enumerate(dataset.targets.tolist()) if given[i] == "test" and k in left_out]
    folder.mkdir()
    for i, image in zip(chosen, dataset.read(torch.tensor(chosen)).images, strict=True):
        (folder / f"{i}.png").write_bytes(to_png(PIL.Image.fromarray(np.squeeze(as_picture(image)))))
    return folder


def flip_arrays(data: str, share: float, folder: Path) -> tuple[Path, list[str]]:
    """Store a data set with some labels changed; its path, and the samples whose label is wrong."""
    dataset = open_data(data)
    labels, generator = dataset.targets.numpy().copy(), np.random.default_rng(0)
    classes = len(dataset.info.classes)
    wrong = generator.choice(len(labels), round(share * len(labels)), replace=False)
    labels[wrong] = (labels[wrong] + generator.integers(1, classes, len(wrong))) % classes
    path = folder / "flipped.npz"
    np.savez(path, images=all_images(dataset).numpy().transpose(0, 2, 3, 1), labels=labels)
    stored = open_data(str(path))
    return path, [location(stored, i) for i in wrong.tolist()]


def flip_files(data: str, share: float, folder: Path) -> tuple[Path, list[str]]:
    """Copy a folder of photos with some of them in the folder of another class."""
    photos, generator = sorted(Path(data).glob("*/*.*")), np.random.default_rng(0)
    classes = sorted({photo.parent.name for photo in photos})
    wrong = set(generator.choice(len(photos), round(share * len(photos)), replace=False).tolist())
    paths = []
    for i, photo in enumerate(photos):
        others = [name for name in classes if name != photo.parent.name]
        name = str(generator.choice(others)) if i in wrong else photo.parent.name
        target = folder / "photos" / name / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
        paths += [f"{name}/{photo.name}"] if i in wrong else []
    return folder / "photos", paths


def review(data: str, flipped: float, options: Options) -> None:
    flip = flip_files if Path(data).is_dir() else flip_arrays
    with tempfile.TemporaryDirectory() as folder:
        source, wrong = flip(data, flipped, Path(folder))
        run = convnet.train(source, out=Path(folder) / "run", progress=False, **options)
        found = {suspect.path for suspect in review_labels(run).suspects}
        count = sum(run.data["samples"].values())
    hits = len(found & set(wrong))
    print(f"{count:,} labels, {len(wrong):,} wrong, {len(found):,} suspects")
    print(f"precision {hits / max(1, len(found)):.3f}  recall {hits / len(wrong):.3f}")


def explain(run: str, image: str, rounds: int) -> None:
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        page = ["explain", run, image, "--out", str(Path(folder) / "page")]
        unit = ["explain", run, image, "--json"]
        for _ in range(rounds):
            for name, words in (("page", page), ("unit as JSON", unit), ("predict", ["predict", run, image])):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", "convnet", *words], check=True, capture_output=True)
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    least = statistics.median(seconds["predict"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<14} {median:.2f} s  {median / least:.2f}×  (n = {rounds})")


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=("calibration", "explain", "review"))
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--unknown")
    parser.add_argument("--classes")
    parser.add_argument("--image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--flipped", type=float, default=0.02)
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    with convnet.use_settings(data_dir=given.data_dir):
        options = parse_assignments(given.set) | ({"epochs": given.epochs} if given.epochs else {})
        if given.what == "calibration":
            calibration(given.data, given.seeds, given.unknown, given.classes, options)
        elif given.what == "explain":
            explain(given.data, given.image, given.rounds)
        else:
            review(given.data, given.flipped, options)


if __name__ == "__main__":
    main()
