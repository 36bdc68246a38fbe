"""The contenders of transfer.py, each in a process of its own; the last line is JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

SIZE, CROP, BATCH, EPOCHS, PASSES = 224, 256, 32, 5, 3


def reference() -> nn.Module:
    """The package's own network with its weights."""
    from efficientnet_lite_pytorch import EfficientNet

    from convnet.recipes.pretrained import locate, read_state

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(read_state(locate("imagenet", "efficientnet-lite0")))
    return network


def features(name: str, folder: Path) -> dict[str, float]:
    """Images per second from resident pixels to embeddings, the median pass of three."""
    pixels = torch.randint(0, 256, (2 * BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    if name == "convnet":
        from convnet.data import from_tensors
        from convnet.device import keep_freed_memory, set_threads
        from convnet.recipes.imagenet import load_published

        keep_freed_memory()
        set_threads(None)
        network = load_published("efficientnet-lite0")
        nothing = torch.zeros(len(pixels), dtype=torch.int64)
        locations = [str(i) for i in range(len(pixels))]
        dataset = from_tensors(
            name="pixels", images=pixels, targets=nothing, classes=("a", "b"), locations=locations
        )

        def run() -> object:
            return network.embeddings(dataset)

    else:
        usual = reference().eval()

        @torch.no_grad()
        def run() -> object:
            batches = ((part.float() - 127) / 128 for part in pixels.split(BATCH))
            return torch.cat([usual.extract_features(batch).mean((2, 3)) for batch in batches])

    run()
    times = []
    for _ in range(PASSES):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return {"images_per_second": len(pixels) / sorted(times)[PASSES // 2]}


class Photos(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Photos as a script reads them: Pillow, one at a time, resized and cropped."""

    def __init__(self, folder: Path, *, training: bool) -> None:
        self.files = sorted(folder.glob("*/*.jpg"))
        self.classes = sorted({file.parent.name for file in self.files})
        self.training = training

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        import numpy as np
        from PIL import Image

        image = Image.open(self.files[place]).convert("RGB")
        width, height = image.size
        if self.training:
            side = int(min(width, height) * float(torch.empty(1).uniform_(0.7, 1)))
            left = int(torch.randint(width - side + 1, (1,)))
            top = int(torch.randint(height - side + 1, (1,)))
        else:
            side = int(min(width, height) * SIZE / CROP)
            left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
        pixels = torch.from_numpy(
            np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box)).copy()
        )
        if self.training and torch.rand(1) < 0.5:
            pixels = pixels.flip(1)
        return (pixels.permute(2, 0, 1).float() - 127) / 128, self.classes.index(
            self.files[place].parent.name
        )


def loader(folder: Path, *, training: bool) -> torch.utils.data.DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    photos = Photos(folder, training=training)
    return torch.utils.data.DataLoader(photos, BATCH, shuffle=training, num_workers=2)


def frozen(folder: Path) -> float:
    """The accuracy of scikit-learn's regression on features of the frozen network."""
    from sklearn.linear_model import LogisticRegression

    network = reference().eval()

    @torch.no_grad()
    def embedded(part: Path) -> tuple[torch.Tensor, torch.Tensor]:
        found = [(network.extract_features(x).mean((2, 3)), y) for x, y in loader(part, training=False)]
        return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])

    (x, y), (others, truth) = embedded(folder / "train"), embedded(folder / "val")
    model = LogisticRegression(max_iter=1000).fit(x.numpy(), y.numpy())
    return float(model.score(others.numpy(), truth.numpy()))


def fine_tuned(folder: Path) -> float:
    """The accuracy after five epochs in which all weights are trained."""
    network = reference()
    train, val = loader(folder / "train", training=True), loader(folder / "val", training=False)
    classes = len({file.parent.name for file in (folder / "train").glob("*/*.jpg")})
    network._fc = nn.Linear(network._fc.in_features, classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-4, total_steps=EPOCHS * len(train))
    for _ in range(EPOCHS):
        network.train()
        for x, y in train:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        right = sum(int((network(x).argmax(1) == y).sum()) for x, y in val)
    return right / len(val.dataset)  # type: ignore[arg-type]


def command(name: str, folder: Path) -> dict[str, float]:
    if name == "frozen":
        return {"accuracy": frozen(folder)}
    if name == "fine-tuning":
        return {"accuracy": fine_tuned(folder)}
    import convnet

    with tempfile.TemporaryDirectory() as out:
        run = convnet.train(folder, out=Path(out) / "run")
        return {"accuracy": run.result["val"]["accuracy"]}


if __name__ == "__main__":
    kind, contender, place = sys.argv[1:]
    print(json.dumps({"features": features, "command": command}[kind](contender, Path(place))))
