"""How much of a baseline a machine can afford: measured on a few images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch

from convnet.data import MemorySource
from convnet.features import FEATURES
from convnet.features.visual_words import VisualWords
from convnet.layers import nearest

WORDS = (1600, 800, 400, 200, 100, 50, 20)
PATCHES_PER_WORD = 10
QUERIES, MEMORY = 128, 4096
IMAGES = 16


def affordable_memory(source: MemorySource, samples: int, queries: int, seconds: float) -> int | None:
    """How many of the training samples k-NN may remember to answer `queries` in time; None for all."""
    numbers = source.images[:MEMORY].flatten(1).float()
    taken = _seconds(partial(nearest, numbers[:QUERIES], numbers, 1))
    comparisons = seconds / taken * QUERIES * len(numbers)
    most = int(comparisons / max(1, queries))
    return None if most >= samples else max(100, min(samples, most))


def affordable_words(source: MemorySource, samples: int, seconds: float) -> str:
    """A visual-words feature for images of that size, with as many words as there is time for."""
    channels, height, width = source.shape
    side = min(height, width)
    patch = 6 if side >= 16 else max(2, side // 3)
    options = {"patch_size": patch, "stride": max(1, side // 32), "grid": 2 if side >= 2 * patch else 1}
    images = source.images[:IMAGES].float() / 255
    for words in WORDS:
        feature = FEATURES.build(
            "visual-words", source.shape.channels, (height, width), words=words, **options
        )
        assert isinstance(feature, VisualWords)
        patches = min(samples * math.prod(feature.positions), feature.patches)
        if words > samples or patches < PATCHES_PER_WORD * words:
            continue
        length = channels * patch**2
        feature.words, feature.whitening = torch.randn(words, length), torch.eye(length)
        feature.center = torch.zeros(length)
        # The codebook and the classifier behind it take about as long again, where the set is small.
        each = _seconds(partial(feature, images)) / len(images)
        if each * len(source) < seconds / 2:
            break
    written = ", ".join(f"{key}={value}" for key, value in {"words": words, **options}.items())
    return f"visual-words({written})"


def _seconds(work: Callable[[], object]) -> float:
    """The second time, when everything is in place."""
    work()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
