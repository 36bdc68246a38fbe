"""Collect the facts about a training run that its diagnosis needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from convnet.data import Dataset, ImageDataset, labels_of
from convnet.evaluation.diagnosis import Finding, diagnose
from convnet.evaluation.slices import file_sizes
from convnet.evaluation.training_facts import TrainingFacts, chance_loss
from convnet.explain.health import LayerHealth, layer_health
from convnet.recipes import TrainingSetup
from convnet.runs import RunFolder, StepLog
from convnet.tasks import ClassificationResult, Evaluation

SMALL_SIDE = 64
MOST_SMALL, MOST_LARGE = 256, 32
"""The largest number of samples of a batch, of images up to 64 pixels and of larger ones."""
COMPARED = 256
"""The largest number of images of each split whose brightness is compared."""
SIZED = 64
"""The largest number of files of each split whose size is compared."""
SURE, IMPROBABLE = 0.5, 0.01
"""The probability of a class that the network is sure of, and that of an improbable label of two classes."""


def diagnose_training(
    folder: RunFolder, setup: TrainingSetup, rows: Sequence[dict[str, float | None]], val: Evaluation | None
) -> list[Finding]:
    """The diagnosis of a finished training of a classifier; empty for other tasks.

    Args:
        folder: The run folder.
        setup: The finished training.
        rows: The rows of metrics.csv.
        val: The evaluation of the validation split, calibrated.
    """
    if not setup.task.target.exclusive:
        return []
    split, info = setup.split, setup.dataset.info
    held_out = val if isinstance(val, ClassificationResult) else None
    trained = bool(rows)
    counts = torch.bincount(labels_of(setup.dataset)[split.train], minlength=len(info.classes)).tolist()
    return diagnose(
        TrainingFacts(
            epochs=rows,
            steps=[row["loss"] or 0.0 for row in StepLog.read(folder.file("steps.csv"))],
            classes=info.classes,
            chance=chance_loss(counts),
            per_class=counts,
            recall=[] if held_out is None else _recall(held_out),
            balanced=setup.recipe.balance != "none",
            cross_entropy=setup.recipe.loss.name == "cross-entropy" and setup.recipe.balance == "none",
            train=rows[-1]["train_accuracy"] if trained else None,
            val=None if held_out is None else held_out.accuracy,
            val_samples=0 if held_out is None else len(held_out),
            sure_mistakes=0.0 if held_out is None else _sure_mistakes(held_out),
            layers=_layers(setup) if trained else [],
            input_scale=_input_scale(setup) if trained else None,
            brightness=_brightness(setup.dataset, split.train, split.val),
            sizes=_sizes(setup.dataset, split.train, split.val),
            copies=_copies(setup.dataset, split.val),
        )
    )


def _sure_mistakes(held_out: ClassificationResult) -> float:
    """The fraction of samples with a sure other class and a label less probable than most others."""
    probabilities, classes = held_out.probabilities, held_out.probabilities.shape[1]
    own = probabilities.gather(1, held_out.targets[:, None])[:, 0]
    best = probabilities.amax(1)
    usual = (1 - best) / (classes - 1) if classes > 2 else torch.full_like(best, IMPROBABLE)
    found = (held_out.predicted != held_out.targets) & (best > SURE) & (own < usual)
    return float(found.double().mean())


def _recall(held_out: ClassificationResult) -> list[float | None]:
    """The recall of every class; None for classes without samples."""
    confusion = held_out.confusion()
    pairs = zip(confusion.diagonal().tolist(), confusion.sum(1).tolist(), strict=True)
    return [right / support if support else None for right, support in pairs]


def _spread(indices: Tensor, most: int) -> Tensor:
    """At most so many of the indices, evenly spaced."""
    return indices[torch.linspace(0, len(indices) - 1, min(most, len(indices))).long()]


def _layers(setup: TrainingSetup) -> list[LayerHealth]:
    """The state of the trained layers on some training samples."""
    most = MOST_SMALL if max(setup.dataset.info.shape[1:]) <= SMALL_SIDE else MOST_LARGE
    batch = setup.inputs.read(_spread(setup.split.train, most))
    if not len(batch):
        return []
    device = setup.training.compute.device
    model = setup.training.evaluated
    try:
        found = layer_health(model, batch.images.to(device), batch.targets.to(device), setup.training.loss)
    except RuntimeError:  # a network without gradients, or out of memory
        return []
    prefix = f"{len(setup.network) - 1}."  # the network's place behind the normalization
    return [replace(layer, name=layer.name.removeprefix(prefix)) for layer in found]


def _input_scale(setup: TrainingSetup) -> tuple[float, float] | None:
    """Mean and deviation of some normalized training samples."""
    if len(setup.front) or len(setup.network.features):
        return None
    batch = setup.dataset.read(_spread(setup.split.train, COMPARED))
    if not len(batch):
        return None
    normal = setup.network.normalize.cpu()(batch.images.cpu()).double()
    setup.network.normalize.to(setup.training.compute.device)
    known = normal[~normal.isnan()]
    return float(known.mean()), float(known.std()) if len(known) > 1 else 0.0


def _brightness(dataset: Dataset, train: Tensor, val: Tensor) -> tuple[float, float, float] | None:
    if dataset.info.modality != "images" or not len(val):
        return None
    means = []
    for indices in (train, val):
        batch = dataset.read(_spread(indices, COMPARED))
        means.append(batch.images.float().flatten(1).mean(1).double().cpu())
    if min(map(len, means)) < 2:
        return None
    return float(means[0].mean()), float(means[1].mean()), float(means[0].std())


def _sizes(dataset: Dataset, train: Tensor, val: Tensor) -> tuple[float, float] | None:
    """The median side of some training and validation files; None for data without files."""
    if not isinstance(dataset, ImageDataset) or not len(val):
        return None
    found = []
    for indices in (train, val):
        sizes = file_sizes(dataset, _spread(indices, SIZED).tolist())
        sides = torch.from_numpy(sizes).prod(1).sqrt()
        found.append(float(sides.nanmedian()))
    return found[0], found[1]


def _copies(dataset: Dataset, val: Tensor) -> float:
    """The fraction of validation samples with the pixels of a sample that the data gives for training."""
    info = dataset.info
    numbers = info.contents if info.contents is not None else info.duplicates
    if numbers is None or info.given_split is None or not len(val):
        return 0.0
    given = torch.tensor([name == "train" for name in info.given_split])
    given[val] = False
    return float(torch.isin(numbers[val], numbers[given]).double().mean())
