"""Damage the files of runs and use the runs."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import convnet
from convnet.workflows import resume
from tests.fuzz.attempts import failure_of
from tests.fuzz.mutations import mutate

FILES = (
    "run.json", "recipe.yaml", "data.json", "environment.json", "split.csv", "checksums.npy", "metrics.csv",
    "steps.csv", "result.json", "predictions.csv", "predictions.npz", "model.safetensors",
    "checkpoints/last.safetensors",
)  # fmt: skip


def make_runs(root: Path) -> list[Path]:
    """A classifier, an unfinished one, one with features, and a segmentation run."""
    linear: dict[str, Any] = {"model": "linear", "batch_size": 256}
    small = {"name": "unet", "width": 2, "depth": 1}
    convnet.train("digits", out=root / "finished", epochs=2, **linear)
    convnet.train("digits", out=root / "features", epochs=1, model="hog -> linear", batch_size=256)
    convnet.train("digit-scenes", out=root / "masks", epochs=1, model=small, split={"val": 0.05})
    shutil.copytree(root / "finished", root / "unfinished")
    recipe = root / "unfinished" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("epochs: 2", "epochs: 3"))
    (root / "unfinished" / "result.json").unlink()
    return [root / name for name in ("finished", "features", "masks", "unfinished")]


def use(run: Path) -> Iterator[str]:
    """Evaluate, predict, report and resume a run; the errors that are no messages."""
    image = run.parent / "zero.png"
    uses: dict[str, Callable[[], object]] = {
        "evaluate": lambda: convnet.load_run(run).evaluate(),
        "predict": lambda: convnet.load_run(run).predict([image]),
        "report": lambda: convnet.load_run(run).report(),
        "resume": lambda: resume(run),
        "data": lambda: (repr(convnet.load_run(run)), convnet.load_run(run).metrics),
    }
    for name, action in uses.items():
        if failure := failure_of(action):
            yield f"{name}: {failure}"


def fuzz(root: Path, count: int, seed: int) -> list[str]:
    """Try mutations of the files of several runs.

    Args:
        root: An empty folder.
        count: The number of mutations.
        seed: The seed of all choices.

    Returns:
        The failures.
    """
    from PIL import Image

    runs, rng, failures = make_runs(root), random.Random(seed), []
    Image.new("L", (48, 48), 200).save(root / "zero.png")
    for i in range(count):
        run = rng.choice(runs)
        name = rng.choice([name for name in FILES if (run / name).exists()])
        trial = root / "trial"
        shutil.copytree(run, trial)
        way = mutate(trial / name, rng)
        failures += [f"mutation {i}, {run.name}/{name}, {way}: {failure}" for failure in use(trial)]
        shutil.rmtree(trial)
    return failures
