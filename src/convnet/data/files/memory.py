"""Images in memory, listed as if they were files."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import torch

from convnet.data.files.listing import Listing, Sample
from convnet.data.files.store import Entry
from convnet.data.memory_source import MemorySource
from convnet.errors import DataError


class MemoryStore:
    """The images of a source, each as the bytes of an array H×W×C."""

    remote = False

    def __init__(self, source: MemorySource) -> None:
        self.root = Path(source.name)
        self._source = source
        self._places = {source.describe(i): i for i in range(len(source))}

    def read(self, name: str) -> bytes:
        """The image of a sample by its place."""
        written = io.BytesIO()
        np.save(written, self._source.one(self._places[name]).images[0].permute(1, 2, 0).numpy())
        return written.getvalue()


def list_memory(source: MemorySource) -> Listing:
    """The samples of a source that holds images and their classes or labels.

    Raises:
        DataError: it holds something else.
    """
    if source.form != "images" or source.target not in ("class", "labels"):
        raise DataError(f"{source.name}: holds no images with classes or labels")
    several = source.target == "labels"
    samples = []
    for i, names in enumerate(source.class_names()):
        pixels = source.read(torch.tensor([i])).images.numpy()
        entry = Entry(source.describe(i), pixels.nbytes, zlib.crc32(pixels.tobytes()))
        labels = tuple(names.split("|")) if several and names else () if several else (names,)
        samples.append(Sample(entry, labels, source.partition[i] if source.partition else None))
    return Listing(source.name, MemoryStore(source), tuple(samples), source.classes, several=several)
