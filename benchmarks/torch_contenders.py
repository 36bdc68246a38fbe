"""The contenders that run on torch: convnet itself, the bare limit, and the usual tutorial loop.

A worker: prints "@ready", then for every line on standard input, which names one of its contenders, trains a
stretch of batches and prints "@" and its images per second.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from convnet.data import SplitOptions, make_split, named_set
from convnet.device import keep_freed_memory, make_compute, set_threads
from convnet.models import build_model
from convnet.recipes import Recipe, TrainingSetup
from convnet.recipes.build import build
from convnet.runs import RunFolder
from convnet.settings import use_settings
from convnet.training import Event, StepEnd, fit
from convnet.types import Batch, ImageShape
from convnet.workflows.control import Control
from convnet.workflows.recorder import Recorder

BATCH = 128
WARM_UP = 3
"""Stretches before the first that counts: until then the heap still grows, at a page fault per 4 kB."""

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


def workbench(network: str, data_dir: Path, precision: str) -> TrainingSetup:
    mnist = network == "lecture-mnist"
    recipe = {
        "name": network,
        "data": {"source": "mnist" if mnist else "cifar10"},
        "augment": {} if mnist else {"flip": True, "pad_crop": 4},
        "model": "own_network:resnet18" if network == "resnet18" else network,
        "precision": precision,
        "batch_size": BATCH,
    }
    keep_freed_memory()
    set_threads(None)
    chosen = Recipe.from_dict(recipe)
    with use_settings(data_dir=data_dir):
        return build(chosen, make_compute("cpu", chosen.precision))


class Stretches:
    """A loader's batches, epoch after epoch, in stretches of `steps`."""

    def __init__(self, batches: Iterator[Batch], steps: int) -> None:
        self.batches, self.steps = batches, steps

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        return itertools.islice(self.batches, self.steps)


def convnet(network: str, steps: int, data_dir: Path, precision: str) -> dict[str, Callable[[], None]]:
    """What `convnet train` runs per step, loader, loop and recorder of `steps.csv`; and the bare limit.

    The limit is the same network's forward, backward and step on one batch that lies ready. It shares the
    process, the weights and the optimizer with convnet: where these lie in memory decides several per cent.
    """
    setup = workbench(network, data_dir, precision)
    training = setup.training
    endless = itertools.chain.from_iterable(setup.batches.epoch(e) for e in itertools.count())
    batches, resident = Stretches(endless, steps), next(setup.batches.epoch())
    folder = RunFolder.create(Path(tempfile.mkdtemp()) / "run", {})
    recorder = Recorder(folder, training, "accuracy", (), None, Control(), {})

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd):
            recorder(event)

    def whole() -> None:
        fit(training, batches, epochs=training.progress.epoch + 1, listeners=[listen])

    def bare() -> None:
        training.model.train()
        for _ in range(steps):
            training.optimizer.zero_grad(set_to_none=True)
            training.loss(training.forward(resident.images).float(), resident.targets).backward()
            training.optimizer.step()

    return {"convnet": whole, "bare": bare} if precision == "auto" else {"convnet-fp32": whole}


class TutorialSet(Dataset[tuple[torch.Tensor, int]]):
    """What `torchvision.datasets` and `ToTensor(), Normalize(…)` do to each sample, step by step.

    A PIL image is made of the stored bytes; for photos it is padded, cropped and perhaps mirrored; then
    it becomes a float tensor over 255, and mean and deviation become tensors and are applied.
    """

    mean, std = (0.1307,), (0.3081,)

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images = images.permute(0, 2, 3, 1).numpy()
        self.labels = labels
        self.photos = self.images.shape[3] == 3

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        pixels, label = self.images[i], int(self.labels[i])
        image = Image.fromarray(pixels if self.photos else pixels[:, :, 0])
        if self.photos:
            image = ImageOps.expand(image, 4)
            top, left = (int(torch.randint(0, 9, (1,))) for _ in range(2))
            image = image.crop((left, top, left + 32, top + 32))
            if torch.rand(1) < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image, np.uint8, copy=True))
        tensor = tensor.view(image.size[1], image.size[0], len(image.getbands()))
        tensor = tensor.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean = torch.as_tensor(self.mean, dtype=tensor.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=tensor.dtype).view(-1, 1, 1)
        return tensor.clone().sub_(mean).div_(std), label


def tutorial_network(network: str) -> nn.Module:
    """lecture-mnist as one writes it by hand; the others are the same modules as convnet's."""
    if network == "lecture-mnist":
        return nn.Sequential(
            nn.Conv2d(1, 64, 3, 2), nn.ReLU(), nn.Conv2d(64, 32, 2, padding="same"), nn.ReLU(),
            nn.MaxPool2d(2, 1), nn.Dropout(0.35), nn.Flatten(), nn.Linear(32 * 12 * 12, 256), nn.Tanh(),
            nn.Dropout(0.5), nn.Linear(256, 10),
        )  # fmt: skip
    name = "own_network:resnet18" if network == "resnet18" else network
    return build_model(name, ImageShape(3, 32, 32), 10)


def tutorial(network: str, steps: int, data_dir: Path) -> Callable[[], None]:
    """The usual loop: DataLoader, per-sample transforms, float32, Adam, `loss.item()`."""
    with use_settings(data_dir=data_dir):
        dataset = named_set("mnist" if network == "lecture-mnist" else "cifar10")
    keep = make_split(dataset, SplitOptions()).train
    data = TutorialSet(dataset.images[keep], dataset.targets[keep])
    loader = DataLoader(data, BATCH, shuffle=True, drop_last=True)
    stream = itertools.chain.from_iterable(loader for _ in itertools.count())
    model = tutorial_network(network)
    optimizer = torch.optim.Adam(model.parameters())

    def stretch() -> None:
        model.train()
        running = 0.0
        for images, labels in itertools.islice(stream, steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()

    return stretch


def main() -> None:
    process, network, steps, data_dir = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    if process == "tutorial":
        stretches = {"tutorial": tutorial(network, steps, data_dir)}
    else:
        stretches = convnet(network, steps, data_dir, "fp32" if process == "convnet-fp32" else "auto")
    for _ in range(WARM_UP):
        for stretch in stretches.values():
            stretch()
    print("@ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        stretches[line.strip()]()
        print(f"@{BATCH * steps / (time.perf_counter() - start)}", flush=True)


if __name__ == "__main__":
    main()
