"""Transfer learning on a folder of photos: speed of embeddings, whole commands, accuracy, learning curves.

    python benchmarks/transfer.py features FOLDER [--rounds 5]
    python benchmarks/transfer.py commands FOLDER [--rounds 3]
    python benchmarks/transfer.py folds FOLDER [--seeds 3] [--folds 5] [--epochs 10]
    python benchmarks/transfer.py curve FOLDER [--seeds 3] [--per-class 10 20 50]
    python benchmarks/transfer.py encoders [--seeds 3] [--epochs 10] --data-dir DATA

FOLDER has a subfolder per class; for `commands` and `curve`, train/ and val/ of them. `features` and
`commands` start every contender in a process of its own, in turn; figures are medians, ratios medians of the
ratios within a round. `commands` begins with an empty cache. The rival is the usual PyTorch loop around
`efficientnet-lite-pytorch`: photos decoded by Pillow in a DataLoader, fp32, scikit-learn on its features, or
five epochs of fine-tuning. `encoders` compares U-Nets on membrane and on blood cells, whose masks are
ellipses in the boxes of the annotations.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).parent
IMAGES = 64


def contender(*words: str, cache: str | None = None) -> dict[str, float]:
    """The figures that a contender prints as JSON on its last line."""
    environment = {**os.environ, **({"XDG_CACHE_HOME": cache} if cache else {})}
    command = [sys.executable, str(HERE / "transfer_contenders.py"), *words]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": time.perf_counter() - began, **found}


def features(arguments: argparse.Namespace) -> None:
    rows: dict[str, list[float]] = {"convnet": [], "reference": []}
    for place in range(arguments.rounds):
        for name in sorted(rows, reverse=bool(place % 2)):
            rows[name].append(contender("features", name, str(arguments.folder))["images_per_second"])
    ratios = [own / other for own, other in zip(rows["convnet"], rows["reference"], strict=True)]
    for name, values in rows.items():
        print(f"{name:<10} {statistics.median(values):7.1f} img/s ({min(values):.0f}–{max(values):.0f})")
    print(f"ratio {statistics.median(ratios):.2f} (n = {arguments.rounds})")


def commands(arguments: argparse.Namespace) -> None:
    rows: dict[str, list[dict[str, float]]] = {"convnet": [], "frozen": [], "fine-tuning": []}
    for place in range(arguments.rounds):
        for name in sorted(rows, reverse=bool(place % 2)):
            with tempfile.TemporaryDirectory() as cache:
                rows[name].append(contender("command", name, str(arguments.folder), cache=cache))
            print(name, rows[name][-1], flush=True)
    for name, found in rows.items():
        seconds, accuracy = (statistics.median(r[key] for r in found) for key in ("seconds", "accuracy"))
        ratios = [r["seconds"] / own["seconds"] for r, own in zip(found, rows["convnet"], strict=True)]
        print(f"{name:<12} {seconds:6.1f} s  {statistics.median(ratios):5.2f}×  accuracy {accuracy:.2%}")


def folds(arguments: argparse.Namespace) -> None:
    from convnet.recipes.resolve import choose_recipe
    from convnet.workflows import cross_validate

    for name, changes in (("head only", {"finetune": "head"}), ("fine-tuned", {"epochs": arguments.epochs})):
        means = []
        for seed in range(arguments.seeds):
            settings = {"seed": seed, "split.seed": seed, **changes}
            recipe = choose_recipe(str(arguments.folder), settings)
            with tempfile.TemporaryDirectory() as out:
                done = cross_validate(recipe, arguments.folds, out=Path(out) / "folds")
            means.append(done.summary["accuracy"]["mean"])
        print(f"{name:<10} {spread(means)}, {done.summary['samples']} photos, {arguments.folds} folds")


def curve(arguments: argparse.Namespace) -> None:
    from convnet.recipes.resolve import choose_recipe
    from convnet.workflows import train

    for count in arguments.per_class:
        for name, changes in (("pretrained", {"finetune": "head"}), ("from scratch", {"weights": None})):
            found = []
            for seed in range(arguments.seeds):
                settings = {"seed": seed, "split.seed": seed, "split.per_class": count, **changes}
                with tempfile.TemporaryDirectory() as out:
                    run = train(
                        choose_recipe(str(arguments.folder), settings), Path(out) / "run", report=False
                    )
                    found.append(run.result["val"]["accuracy"])
            print(f"{count:>3} per class  {name:<12} {spread(found)}", flush=True)


def encoders(arguments: argparse.Namespace) -> None:
    from convnet.recipes.resolve import choose_recipe
    from convnet.settings import use_settings
    from convnet.workflows import train

    with tempfile.TemporaryDirectory() as folder, use_settings(data_dir=arguments.data_dir):
        cells = Path(folder) / "cells"
        draw_cells(arguments.data_dir / "bccd", cells)
        encoded = {"model.encoder": "efficientnet-lite0"}
        variants = {
            "pretrained encoder": encoded,
            "same, random weights": {**encoded, "weights": None},
            "plain U-Net": {},
        }
        few = {"preprocess.image_size": 256, "augment.crops": 2}
        for data, fields in (("membrane", {}), (str(cells), few)):
            for name, changes in variants.items():
                accuracy, iou = [], []
                for seed in range(arguments.seeds):
                    settings = {"task": "segmentation", "epochs": arguments.epochs, "seed": seed}
                    recipe = choose_recipe(data, {**settings, **fields, **changes})
                    run = train(recipe, Path(folder) / f"{name}-{Path(data).name}-{seed}", report=False)
                    scores = run.result["test"]
                    accuracy.append(scores["pixel_accuracy"])
                    iou.append(scores["mean_iou"])
                print(
                    f"{Path(data).name:<9} {name:<21} pixel accuracy {spread(accuracy)}, IoU {spread(iou)}",
                    flush=True,
                )


def draw_cells(source: Path, folder: Path) -> None:
    """Every third photo, with a mask of the ellipses in the boxes of its cells."""
    from PIL import Image, ImageDraw

    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for file in sorted(source.rglob("*.xml"))[::3]:
        photo = next(source.rglob(f"{file.stem}.jpg"))
        mask = Image.new("L", Image.open(photo).size)
        for box in ET.parse(file).getroot().iter("bndbox"):
            corners = [int(box.findtext(key) or 0) for key in ("xmin", "ymin", "xmax", "ymax")]
            if corners[2] > corners[0] and corners[3] > corners[1]:
                ImageDraw.Draw(mask).ellipse(corners, fill=1)
        shutil.copy(photo, folder / "images" / photo.name)
        mask.save(folder / "masks" / f"{photo.stem}.png")


def spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{deviation} (n = {len(values)} seeds)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(required=True)
    for measure in (features, commands, folds, curve, encoders):
        own = kinds.add_parser(measure.__name__)
        own.set_defaults(measure=measure)
        if measure is not encoders:
            own.add_argument("folder", type=Path)
        own.add_argument("--rounds", type=int, default=3)
        own.add_argument("--seeds", type=int, default=3)
        own.add_argument("--folds", type=int, default=5)
        own.add_argument("--epochs", type=int, default=10)
        own.add_argument("--per-class", type=int, nargs="+", default=[10, 20, 50])
        own.add_argument("--data-dir", type=Path, default=Path())
    arguments = parser.parse_args()
    arguments.measure(arguments)


if __name__ == "__main__":
    main()
