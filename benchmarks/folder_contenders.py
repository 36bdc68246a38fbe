"""An epoch on a folder: convnet's own training, and the usual PyTorch loop; run by folder_training.py."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

SIDE = 160
MEAN, STD = (
    torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
    torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
)


class Folder(Dataset[tuple[torch.Tensor, int]]):
    """A folder per class; every image decoded, cropped, flipped and normalized by itself."""

    def __init__(self, root: Path) -> None:
        classes = sorted(path.name for path in root.iterdir() if path.is_dir())
        self.items = [(p, k) for k, name in enumerate(classes) for p in sorted((root / name).iterdir())]
        self.classes = len(classes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.items[index]
        image = Image.open(path).convert("RGB")
        scale = SIDE / min(image.size)
        size = (max(SIDE, round(image.width * scale)), max(SIDE, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        image = image.crop((left, top, left + SIDE, top + SIDE))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(SIDE, SIDE, 3)
        return (pixels.permute(2, 0, 1).float() / 255 - MEAN) / STD, label


def usual(root: Path, batch: int) -> tuple[float, float, float]:
    """A DataLoader with two workers, SGD with momentum, fp32."""
    from convnet.models import build_model
    from convnet.types import ImageShape

    data = Folder(root)
    model = build_model("resnet18", ImageShape(3, SIDE, SIDE), data.classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loader = DataLoader(data, batch, shuffle=True, num_workers=2, persistent_workers=True)
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begun)
    return seconds[0], seconds[1], 0.0


def ours(root: Path, batch: int) -> tuple[float, float, float]:
    """`convnet train` of the same, all of its work up to the end of the first epoch counted as its."""
    import convnet

    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        begun = time.perf_counter()
        ends: list[float] = []

        def hear(event: object) -> None:
            if type(event).__name__ == "EpochEnd":
                ends.append(time.perf_counter())

        run = convnet.train(
            root,
            model="resnet18",
            preprocess={"image_size": SIDE},
            augment={"flip": True, "random_resized_crop": None},
            split={"val": 0.0, "test": 0.0},
            optimizer={"name": "momentum", "lr": 0.01},
            schedule="constant",
            batch_size=batch,
            epochs=2,
            out=f"{place}/run",
            listeners=[hear],
        )
        with run.folder.file("metrics.csv").open(newline="") as file:
            later = list(csv.DictReader(file))[-1]
    return ends[0] - begun, ends[1] - ends[0], float(later["data_seconds"]) / float(later["seconds"])


if __name__ == "__main__":
    name, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    found = (ours if name == "convnet" else usual)(folder, size)
    print("@", *found)
