"""Each network of the zoo learns 64 photos by heart: the check that its gradients flow.

    python benchmarks/overfit.py flowers/train --networks alexnet zfnet vgg-a googlenet resnet18 resnet50

Takes the first photos of every class, 64 together, and trains at the native size without dropout and
augmentation until the training loss is a tenth of the first epoch's and of ln(classes), that of guessing, for
60 epochs at most. Prints the loss of the first and the last epoch, and the median seconds of a step.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from itertools import islice
from pathlib import Path

import convnet
from convnet.models import MODELS
from convnet.training import EpochEnd, StopTraining

PHOTOS = 64


def choose(folder: Path, target: Path) -> None:
    """Links to the first photos of every class, in turn, until there are 64."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    rows = zip(*(sorted(path.iterdir()) for path in classes), strict=False)
    for photo in islice((photo for row in rows for photo in row), PHOTOS):
        (target / photo.parent.name).mkdir(exist_ok=True)
        (target / photo.parent.name / photo.name).symlink_to(photo.resolve())


def overfit(network: str, photos: Path, out: Path, batch_size: int, lr: float) -> None:
    losses: list[float] = []
    guessing = math.log(sum(path.is_dir() for path in photos.iterdir()))
    steps: list[float] = []

    def watch(event: object) -> None:
        if isinstance(event, EpochEnd):
            losses.append(event.train_loss)
            steps.append(event.seconds / (PHOTOS / batch_size))
            if event.train_loss < min(losses[0], guessing) / 10:
                raise StopTraining

    facts = MODELS.facts(network)
    dropout = {"dropout": 0.0} if "dropout" in MODELS.options(network, {}) else {}
    convnet.train(
        photos,
        out=out / network,
        model={"name": network, **dropout},
        optimizer={"name": "adam", "lr": lr},
        schedule="constant",
        augment={"flip": False, "random_resized_crop": None},
        preprocess={"image_size": facts.native.height},
        split={"val": 0.0, "test": 0.0},
        batch_size=batch_size,
        epochs=60,
        listeners=[watch],
    )
    print(
        f"{network:<10} {facts.native}  loss {losses[0]:.3f} → {losses[-1]:.3f} "
        f"({losses[0] / losses[-1]:.0f}×) in {len(losses)} epochs; "
        f"{statistics.median(steps):.2f} s a step of {batch_size}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="a folder with one subfolder of photos per class")
    parser.add_argument("--networks", nargs="+", default=["alexnet", "resnet18"])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-4)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        photos, out = Path(place) / "photos", Path(place) / "runs"
        photos.mkdir()
        choose(chosen.folder, photos)
        for network in chosen.networks:
            overfit(network, photos, out, chosen.batch_size, chosen.lr)


if __name__ == "__main__":
    main()
