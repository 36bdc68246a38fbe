"""The sizes of baselines that fit into a time limit: epochs, neighbors, words; measured on a few samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from convnet.data import Dataset, Split, subset
from convnet.device import make_compute
from convnet.features import FEATURES
from convnet.features.visual_words import VisualWords
from convnet.layers import nearest
from convnet.recipes import Recipe, build, override
from convnet.training import fit

WORDS = ((1600, 1), (800, 1), (400, 1), (400, 2), (200, 2), (100, 2), (50, 2), (20, 2))
"""(words of a codebook, pixels between its patches), from the best and slowest to the fastest."""
PATCHES_PER_WORD = 10
QUERIES, MEMORY = 1024, 4096
IMAGES = 16
BATCHES = 16
VISITS = 50_000
"""The smallest number of training samples, counted anew in each epoch, that a baseline sees."""


def epochs_within(recipe: Recipe, dataset: Dataset, split: Split, seconds: float) -> int:
    """The number of epochs, at most the recipe's, that fit after the features of all samples are computed.

    Small data always gets `VISITS` visits of samples, so that its figures do not depend on how fast or busy
    the machine is.
    """
    least = min(recipe.epochs, math.ceil(VISITS / max(1, len(split.train))))
    if least == recipe.epochs:
        return least
    count = min(len(split.train), BATCHES * recipe.batch_size)
    some = split.train[torch.arange(count) * len(split.train) // count]
    part = subset(dataset, some)
    everyone, nothing = torch.arange(count), torch.arange(0)
    once = override(recipe, {"epochs": 1})
    compute = make_compute("cpu", once.precision)

    def train() -> tuple[float, float]:
        begun = time.perf_counter()
        setup = build(once, compute, data=(part, Split(everyone, nothing, nothing)))
        built = time.perf_counter()
        fit(setup.training, setup.batches, epochs=1)
        return built - begun, time.perf_counter() - built

    train()
    preparing, training = train()
    left = seconds - preparing * len(dataset) / count
    return max(least, min(recipe.epochs, int(left / (training * len(split.train) / count))))


def neighbors_within(vectors: Tensor, samples: int, queries: int, seconds: float) -> int | None:
    """The number of training samples that k-NN may store to answer all queries in time.

    Args:
        vectors: Some of the samples, N×D, on which a search is timed.
        samples: The number of training samples.
        queries: The number of queries.
        seconds: The time limit.

    Returns:
        The number to store, or None for all.
    """
    taken = _seconds(partial(nearest, vectors[:QUERIES], vectors, 1))
    comparisons = seconds / taken * min(QUERIES, len(vectors)) * len(vectors)
    most = int(comparisons / max(1, queries))
    return None if most >= samples else max(100, most)


def words_within(dataset: Dataset, samples: int, seconds: float) -> str:
    """The visual-words feature with the most words that fit into the time, for images of that size."""
    channels, height, width = dataset.info.shape
    side = min(height, width)
    patch = 6 if side >= 16 else max(2, side // 3)
    grid, apart = (2 if side >= 2 * patch else 1), max(1, side // 32)
    images = dataset.read(torch.arange(min(IMAGES, len(dataset)))).images.float() / 255
    options: dict[str, int] = {}
    for words, stride in WORDS:
        options = {"words": words, "patch_size": patch, "stride": stride * apart, "grid": grid}
        feature = FEATURES.build("visual-words", channels, (height, width), **options)
        assert isinstance(feature, VisualWords)
        patches = min(samples * math.prod(feature.positions), feature.patches)
        if words > samples or patches < PATCHES_PER_WORD * words:
            options["words"] = max(2, min(words, samples, patches // PATCHES_PER_WORD))
            continue
        length = channels * patch**2
        feature.words, feature.whitening = torch.randn(words, length), torch.eye(length)
        feature.center = torch.zeros(length)
        # The rest of the time is for the codebook and the classifier.
        if _seconds(partial(feature, images)) / len(images) * len(dataset) < seconds / 4:
            break
    written = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"visual-words({written})"


def _seconds(work: Callable[[], object]) -> float:
    """The time of the second call, when caches are warm."""
    work()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
