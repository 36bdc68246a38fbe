"""The test accuracy of the baselines on real data: mean and standard deviation over seeds, whole test splits.

python benchmarks/baseline_accuracy.py [--only NAME …] [--data-dir DIR] [--flowers FOLDER] [--seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from sklearn.model_selection import StratifiedKFold

from convnet.data import Split, TensorDataset, open_data
from convnet.device import make_compute, set_threads
from convnet.models import named_model
from convnet.recipes import (
    Recipe,
    baseline_recipe,
    build,
    default_recipe,
    named_recipe,
    open_recipe_data,
    override,
    split_data,
)
from convnet.settings import configure
from convnet.tasks import Evaluation
from convnet.training import fit

RECIPES = (
    "knn-mnist", "linear-mnist", "svm-mnist", "perceptron-mnist", "hog-mnist",
    "knn-cifar10", "linear-cifar10", "hog-color-cifar10", "hog-color-mlp-cifar10", "visual-words-cifar10",
)  # fmt: skip
FLOWERS = (
    "linear",
    "hog+color -> linear",
    "visual-words(words=200, stride=4) -> linear",
    "visual-words(words=200, stride=4)+color(space=hsv) -> linear",
)


def run(recipe: Recipe, dataset: TensorDataset | None = None, split: Split | None = None) -> Evaluation:
    """Train from the start; the evaluation of the test split, or of the validation split without one."""
    opened = dataset if dataset is not None else open_recipe_data(recipe)
    data = (opened, split) if split is not None else split_data(recipe, opened)
    setup = build(recipe, make_compute("cpu", recipe.precision), data=data)
    if recipe.epochs:
        fit(setup.training, setup.batches, epochs=recipe.epochs)
    done = setup.evaluate("test") or setup.evaluate("val")
    assert done is not None
    return done


def report(name: str, accuracies: list[float], n: int, seconds: float) -> None:
    deviation = f" ± {statistics.stdev(accuracies):.4f}" if len(accuracies) > 1 else ""
    each = f"{seconds / len(accuracies):.0f} s"
    mean = f"{statistics.mean(accuracies):.4f}{deviation}"
    print(f"| {name} | {mean} | {len(accuracies)} | {n:,} | {each} |", flush=True)


def named(name: str, seeds: int) -> None:
    recipe = named_recipe(name)
    random = bool(recipe.epochs)  # nothing is drawn where nothing is trained
    dataset = open_recipe_data(recipe)
    begun, done = time.perf_counter(), []
    for seed in range(seeds if random else 1):
        done.append(run(override(recipe, {"seed": seed}), dataset))
    report(name, [e.accuracy for e in done], len(done[0].targets), time.perf_counter() - begun)


def tumours(seeds: int, count: int) -> None:
    """Five folds, each sample predicted by the model that did not see it."""
    dataset = open_data("tumours")
    for model in ("linear", "mlp"):
        recipe = default_recipe("tumours", model)
        begun, accuracies = time.perf_counter(), []
        for seed in range(seeds):
            folds = StratifiedKFold(count, shuffle=True, random_state=seed).split(
                dataset.targets, dataset.targets
            )
            right = 0
            for train, test in folds:
                split = Split(torch.from_numpy(train), torch.arange(0), torch.from_numpy(test))
                done = run(override(recipe, {"seed": seed}), dataset, split)
                right += int((done.predicted == done.targets).sum())
            accuracies.append(right / len(dataset))
        report(f"tumours, {model}, {count}-fold", accuracies, len(dataset), time.perf_counter() - begun)


def flowers(folder: Path, seeds: int) -> None:
    dataset = None
    for model in FLOWERS:
        recipe = baseline_recipe(str(folder), named_model(model))
        dataset = dataset or open_recipe_data(recipe)
        begun, accuracies = time.perf_counter(), []
        for seed in range(seeds):
            done = run(override(recipe, {"seed": seed}), dataset)
            accuracies.append(done.accuracy)
        report(f"flowers, {model}", accuracies, len(done.targets), time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--flowers", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5, help="of the tumors")
    arguments = parser.parse_args()
    if arguments.data_dir:
        configure(data_dir=arguments.data_dir)
    set_threads(None)
    print("| | test accuracy | seeds | n | time each |\n|---|---|---|---|---|", flush=True)
    for name in RECIPES:
        if arguments.only is None or name in arguments.only:
            named(name, arguments.seeds)
    if arguments.only is None or "tumours" in arguments.only:
        tumours(arguments.seeds, arguments.folds)
    if arguments.flowers and (arguments.only is None or "flowers" in arguments.only):
        flowers(arguments.flowers, arguments.seeds)


if __name__ == "__main__":
    main()
