"""Damage files of data of every form, and audit, split and train on them."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import wavfile

from tests.fuzz.attempts import call
from tests.fuzz.mutations import mutate

SIDE, COUNT = 8, 12
SUFFIXES = (".png", ".jpg", ".bmp", ".gif", ".webp", ".tif", ".pgm", ".npy")
SMALL = ("--set", "model.width=2", "--set", "model.depth=1")
RNG = np.random.default_rng(0)


def _save(path: Path, bright: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 156, (SIDE, SIDE), np.uint8) + np.uint8(100 * bright)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def pictures(root: Path) -> None:
    for i in range(24):
        _save(root / "data" / "ab"[i % 2] / f"{i}{SUFFIXES[i // 2 % len(SUFFIXES)]}", i % 2)


def listed_pictures(root: Path) -> None:
    rows = [(f"{i}.png", "ab"[i % 2], "train" if i < 8 else "test") for i in range(COUNT)]
    for i, (name, _, _) in enumerate(rows):
        _save(root / name, i % 2)
    with (root / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])


def listed_ids(root: Path) -> None:
    for i in range(COUNT):
        _save(root / "data" / f"{i:03}.png", i % 2)
    (root / "data" / "labels.csv").write_text(
        "id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(COUNT))
    )


def masks(root: Path) -> None:
    for i in range(COUNT):
        _save(root / "data" / "images" / f"{i}.png", i % 2)
        mask = root / "data" / "masks" / f"{i}.png"
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 2, (SIDE, SIDE), np.uint8)).save(mask)


def pairs(root: Path) -> None:
    for i in range(COUNT):
        _save(root / "data" / "inputs" / f"{i}.png", 0)
        _save(root / "data" / "targets" / f"{i}.png", 1)


def coco(root: Path) -> None:
    pictures = [{"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE} for i in range(COUNT)]
    for i, picture in enumerate(pictures):
        _save(root / str(picture["file_name"]), i % 2)
    boxes = [
        {"id": i, "image_id": i, "category_id": i % 2, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
        for i in range(COUNT)
    ]
    kinds = [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]
    (root / "data.json").write_text(
        json.dumps({"images": pictures, "annotations": boxes, "categories": kinds})
    )


def archive(root: Path) -> None:
    pictures(root)
    with zipfile.ZipFile(root / "data.zip", "w") as target:
        for path in sorted((root / "data").rglob("*.*")):
            target.write(path, path.relative_to(root))
    shutil.rmtree(root / "data")


def shards(root: Path) -> None:
    for split in ("train", "val"):
        with tarfile.open(root / f"{split}-000.tar", "w") as target:
            for i in range(COUNT):
                _save(root / f"{i}.png", i % 2)
                (root / f"{i}.cls").write_text("ab"[i % 2])
                for suffix in (".png", ".cls"):
                    target.add(root / f"{i}{suffix}", f"{i}{suffix}")
                    (root / f"{i}{suffix}").unlink()


def image_arrays(root: Path) -> None:
    images = RNG.integers(0, 256, (24, SIDE, SIDE), np.uint8)
    np.savez(root / "data.npz", images=images, labels=np.arange(24) % 2)


def series_arrays(root: Path) -> None:
    np.savez(root / "data.npz", x=RNG.normal(size=(24, 20)), y=np.arange(24) % 2)


def numbers(root: Path) -> None:
    rows = [[*RNG.normal(i % 2, 1, 3).round(3), "ab"[i % 2]] for i in range(24)]
    with (root / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("p", "q", "r", "label"), *rows])


def parquet(root: Path) -> None:
    for i in range(COUNT):
        _save(root / f"{i}.png", i % 2)
    columns = {"path": [f"{i}.png" for i in range(COUNT)], "label": ["a", "b"] * (COUNT // 2)}
    pq.write_table(pa.table(columns), root / "data.parquet")


def arff(root: Path) -> None:
    head = "@relation waves\n" + "".join(f"@attribute t{i} numeric\n" for i in range(20))
    rows = [",".join(f"{v:.3f}" for v in RNG.normal(i % 2, 1, 20)) + f",{'ab'[i % 2]}" for i in range(24)]
    (root / "data.arff").write_text(head + "@attribute class {a,b}\n@data\n" + "\n".join(rows) + "\n")


def text_series(root: Path) -> None:
    for part in ("TRAIN", "TEST"):
        rows = [f"{i % 2} " + " ".join(f"{v:.3f}" for v in RNG.normal(i % 2, 1, 20)) for i in range(12)]
        (root / f"Waves_{part}.txt").write_text("\n".join(rows) + "\n")


def recordings(root: Path) -> None:
    for i in range(COUNT):
        path = root / "data" / "ab"[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(path, 8000, (RNG.normal(size=2000) * 3000).astype(np.int16))


def recipe(root: Path) -> None:
    image_arrays(root)
    (root / "recipe.yaml").write_text(
        "name: trial\ndata:\n  source: data.npz\ntask:\n  name: classification\nmodel:\n  name: mlp\n"
        "  hidden: [4]\noptimizer:\n  name: adam\n  lr: 0.01\nsplit:\n  val: 0.2\n  seed: 1\nepochs: 1\n"
        "batch_size: 8\nmetrics: {}\nloss:\n  name: cross-entropy\n"
    )


FORMS: dict[Callable[[Path], None], tuple[str, tuple[str, ...]]] = {
    pictures: ("data", ("--model", "linear")),
    listed_pictures: ("data.csv", ("--model", "linear")),
    listed_ids: ("data", ("--model", "linear")),
    masks: ("data", SMALL),
    pairs: ("data", SMALL),
    coco: ("data.json", ("--model", "linear")),
    archive: ("data.zip", ("--model", "linear")),
    shards: (".", ("--model", "linear")),
    image_arrays: ("data.npz", ("--model", "linear")),
    series_arrays: ("data.npz", SMALL),
    numbers: ("data.csv", ("--model", "linear")),
    parquet: ("data.parquet", ("--model", "linear")),
    arff: ("data.arff", SMALL),
    text_series: (".", SMALL),
    recordings: ("data", SMALL),
    recipe: ("recipe.yaml", ()),
}
"""The functions that write data of each form; what to pass to the commands; options of training."""


def calls_of(make: Callable[[Path], None], out: Path) -> list[list[str]]:
    """The commands that use data of a form."""
    source, options = FORMS[make]
    train = ["train", source, *options, "--epochs", "1", "--batch-size", "8", "--out", str(out)]
    return [train] if make is recipe else [train, ["data", "audit", source], ["data", "split", source]]


def fuzz(root: Path, count: int, seed: int) -> list[str]:
    """Try mutations of the files of data of every form; the sound files must work.

    Args:
        root: An empty folder.
        count: The number of mutations.
        seed: The seed of all choices.

    Returns:
        The failures.
    """
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    failures = []
    for make in FORMS:
        sound = root / make.__name__
        sound.mkdir()
        make(sound)
        with chdir(sound):
            if call(calls_of(make, root / f"{make.__name__}-run")[0]).status:
                failures.append(f"{make.__name__}: the sound files cannot be trained on")
    rng = random.Random(seed)
    for i in range(count):
        make = rng.choice(list(FORMS))
        trial = root / "trial"
        shutil.copytree(root / make.__name__, trial)
        path = rng.choice(sorted(path for path in trial.rglob("*") if path.is_file()))
        way = mutate(path, rng)
        words = rng.choice(calls_of(make, root / "run"))
        with chdir(trial):
            if failure := call(words).failure:
                what = f"{make.__name__}/{path.relative_to(trial)}, {way}"
                failures.append(f"mutation {i}, {what}: {' '.join(words[:3])}: {failure}")
        shutil.rmtree(trial)
        shutil.rmtree(root / "run", ignore_errors=True)
    return failures
