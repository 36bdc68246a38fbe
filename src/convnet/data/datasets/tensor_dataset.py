"""The source that holds its images in memory."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convnet.data.datasets.dataset import Form, Source, class_names, facts_of, rarest
from convnet.data.files.manifest import Listing, Sample
from convnet.data.files.storage import Entry
from convnet.data.images.pixels import DecodeError, to_channels
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import ResizePolicy, fit
from convnet.errors import DataError
from convnet.types import Batch, ImageShape, SplitName, TargetKind


@dataclass(frozen=True)
class MemorySource:
    """A data set that lies in memory, or on the accelerator, as one tensor.

    `images` is uint8 N×C×H×W; `targets` is int64 N, of masks int16 N×H×W, of images uint8 N×C×H×W; `places`
    says where each sample comes from: a path below the folder, or "train-images-idx3-ubyte[17]". Samples of
    different `sizes` fill the upper left of their images. The rows of a table are float images N×C×1×1, whose
    channels are its `columns`; series are float images N×C×1×L, NaN behind the end of the shorter ones.
    """

    name: str
    images: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    places: Sequence[str]
    partition: Sequence[SplitName] | None = None
    skipped: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    form: Form = "images"
    target: TargetKind = "class"
    sizes: Tensor | None = None
    groups: Tensor | None = None
    duplicates: Tensor | None = None
    unfit: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    in_memory: bool = True

    @property
    def shards(self) -> Tensor | None:
        """In memory all places are alike."""
        return None

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of every image."""
        return ImageShape(*self.images.shape[1:])

    @property
    def labels(self) -> Tensor:
        """The class of each sample, int64 N on the CPU; of several labels the rarest; else 0."""
        if self.target == "class":
            return self.targets.cpu()
        if self.target == "labels":
            return rarest(self.targets.cpu())
        return torch.zeros(len(self), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Batch:
        """An index-select: B×C×H×W, on the device of the source."""
        indices = indices.to(self.images.device)
        images, targets = self.images.index_select(0, indices), self.targets.index_select(0, indices)
        if self.target == "mask":
            targets = targets.long()
        elif self.target == "labels":
            targets = targets.float()
        elif self.target == "image":
            targets = targets.float() / 255
        return Batch(images, targets, indices, None if self.sizes is None else self.sizes[indices])

    def one(self, index: int) -> Batch:
        """A batch of one sample, at its own size."""
        batch = self.read(torch.tensor([index]))
        if batch.sizes is None:
            return batch
        height, width = batch.sizes[0].tolist()
        targets = batch.targets if self.target in ("class", "labels") else batch.targets[..., :height, :width]
        return Batch(batch.images[..., :height, :width], targets, batch.indices)

    def class_names(self) -> list[str]:
        """The class of each sample, several labels with | between them; empty where samples have none."""
        if self.target not in ("class", "labels"):
            return [""] * len(self)
        return class_names(self.targets, self.classes)

    def describe(self, index: int) -> str:
        """The path of the sample within its folder, or its file and row."""
        return self.places[index]

    def part(self, indices: Tensor) -> MemorySource:
        """A source of some of the samples, numbered anew."""
        return replace(
            self,
            images=self.images[indices],
            targets=self.targets[indices],
            sizes=None if self.sizes is None else self.sizes[indices],
            **facts_of(self, indices),
        )

    def relabelled(self, targets: Tensor, classes: Sequence[str]) -> MemorySource:
        """The same samples with other targets."""
        return replace(self, targets=targets, classes=tuple(classes))

    def to(self, device: torch.device) -> MemorySource:
        """A copy on `device`; the same object where it lies there already."""
        if self.images.device == device:
            return self
        sizes = None if self.sizes is None else self.sizes.to(device)
        return replace(self, images=self.images.to(device), targets=self.targets.to(device), sizes=sizes)


def recast(source: Source, images: Tensor) -> MemorySource:
    """The same samples with other images N×C×H×W, in memory."""
    return MemorySource(
        name=source.name,
        images=images,
        targets=source.targets.to(images.device),
        classes=source.classes,
        places=[source.describe(i) for i in range(len(source))],
        partition=source.partition,
        skipped=source.skipped,
        columns=source.columns,
        form=source.form,
        target=source.target,
        groups=source.groups,
        duplicates=source.duplicates,
        unfit=source.unfit,
        notes=source.notes,
    )


def fitted(
    source: MemorySource, preprocess: Preprocess, shape: ImageShape | None, channels: ImageShape | None
) -> MemorySource:
    """The images in the `shape` of a trained network, else as the preprocessing wants them."""
    own, side = source.shape, preprocess.image_size
    wanted = ImageShape(preprocess.channels or own.channels, side or own.height, side or own.width)
    if channels is not None:
        wanted = wanted._replace(channels=channels.channels)
    return _adapt(source, shape or wanted, preprocess.resize)


def _adapt(source: MemorySource, shape: ImageShape, resize: ResizePolicy) -> MemorySource:
    """Resize and convert images in memory where another size or other channels are asked for."""
    if shape == source.shape:
        return source
    if source.target == "mask":
        raise DataError(f"{source.name}: its images and masks are used as they are, {source.shape}")
    if source.sizes is not None and shape[1:] == source.shape[1:]:
        raise DataError(f"{source.name}: preprocess.channels does not apply without preprocess.image_size")
    require_room(source.name, len(source), shape)
    images = np.empty((len(source), *shape), np.uint8)
    for i in range(len(source)):
        whole = source.images[i] if source.sizes is None else source.one(i).images[0]
        pixels = fit(whole.permute(1, 2, 0).numpy(), (shape.height, shape.width), resize)
        try:
            images[i] = to_channels(pixels, shape.channels).transpose(2, 0, 1)
        except DecodeError as error:
            raise DataError(f"{source.describe(i)}: {error.reason}") from error
    return replace(source, images=torch.from_numpy(images), sizes=None)


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
