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

from convnet.data.datasets.dataset import Dataset, Modality, class_names, rarest_label, subset_info
from convnet.data.files.manifest import Manifest, Sample
from convnet.data.files.storage import FileEntry
from convnet.data.images.pixels import DecodeError, to_channels
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import ResizePolicy, fit
from convnet.errors import DataError
from convnet.types import Batch, ImageShape, SplitName, TargetKind


@dataclass(frozen=True)
class TensorDataset:
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
    given_split: Sequence[SplitName] | None = None
    unreadable: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    modality: Modality = "images"
    target: TargetKind = "class"
    sizes: Tensor | None = None
    groups: Tensor | None = None
    duplicates: Tensor | None = None
    excluded: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
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
            return rarest_label(self.targets.cpu())
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

    def sample(self, index: int) -> Batch:
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

    def location(self, index: int) -> str:
        """The path of the sample within its folder, or its file and row."""
        return self.places[index]

    def subset(self, indices: Tensor) -> TensorDataset:
        """A source of some of the samples, numbered anew."""
        return replace(
            self,
            images=self.images[indices],
            targets=self.targets[indices],
            sizes=None if self.sizes is None else self.sizes[indices],
            **subset_info(self, indices),
        )

    def with_targets(self, targets: Tensor, classes: Sequence[str]) -> TensorDataset:
        """The same samples with other targets."""
        return replace(self, targets=targets, classes=tuple(classes))

    def to(self, device: torch.device) -> TensorDataset:
        """A copy on `device`; the same object where it lies there already."""
        if self.images.device == device:
            return self
        sizes = None if self.sizes is None else self.sizes.to(device)
        return replace(self, images=self.images.to(device), targets=self.targets.to(device), sizes=sizes)


def with_images(dataset: Dataset, images: Tensor) -> TensorDataset:
    """The same samples with other images N×C×H×W, in memory."""
    return TensorDataset(
        name=dataset.name,
        images=images,
        targets=dataset.targets.to(images.device),
        classes=dataset.classes,
        places=[dataset.location(i) for i in range(len(dataset))],
        given_split=dataset.given_split,
        unreadable=dataset.unreadable,
        columns=dataset.columns,
        modality=dataset.modality,
        target=dataset.target,
        groups=dataset.groups,
        duplicates=dataset.duplicates,
        excluded=dataset.excluded,
        warnings=dataset.warnings,
    )


def fitted(
    dataset: TensorDataset, preprocess: Preprocess, shape: ImageShape | None, channels: ImageShape | None
) -> TensorDataset:
    """The images in the `shape` of a trained network, else as the preprocessing wants them."""
    own, side = dataset.shape, preprocess.image_size
    wanted = ImageShape(preprocess.channels or own.channels, side or own.height, side or own.width)
    if channels is not None:
        wanted = wanted._replace(channels=channels.channels)
    return _adapt(dataset, shape or wanted, preprocess.resize)


def _adapt(dataset: TensorDataset, shape: ImageShape, resize: ResizePolicy) -> TensorDataset:
    """Resize and convert images in memory where another size or other channels are asked for."""
    if shape == dataset.shape:
        return dataset
    if dataset.target == "mask":
        raise DataError(f"{dataset.name}: its images and masks are used as they are, {dataset.shape}")
    if dataset.sizes is not None and shape[1:] == dataset.shape[1:]:
        raise DataError(f"{dataset.name}: preprocess.channels does not apply without preprocess.image_size")
    require_room(dataset.name, len(dataset), shape)
    images = np.empty((len(dataset), *shape), np.uint8)
    for i in range(len(dataset)):
        whole = dataset.images[i] if dataset.sizes is None else dataset.sample(i).images[0]
        pixels = fit(whole.permute(1, 2, 0).numpy(), (shape.height, shape.width), resize)
        try:
            images[i] = to_channels(pixels, shape.channels).transpose(2, 0, 1)
        except DecodeError as error:
            raise DataError(f"{dataset.location(i)}: {error.reason}") from error
    return replace(dataset, images=torch.from_numpy(images), sizes=None)


class ArrayStorage:
    """The images of a source, each as the bytes of an array H×W×C."""

    remote = False

    def __init__(self, dataset: TensorDataset) -> None:
        self.root = Path(dataset.name)
        self._source = dataset
        self._places = {dataset.location(i): i for i in range(len(dataset))}

    def read(self, name: str) -> bytes:
        """The image of a sample by its place."""
        written = io.BytesIO()
        np.save(written, self._source.sample(self._places[name]).images[0].permute(1, 2, 0).numpy())
        return written.getvalue()


def list_arrays(dataset: TensorDataset) -> Manifest:
    """The samples of a source that holds images and their classes or labels.

    Raises:
        DataError: it holds something else.
    """
    if dataset.modality != "images" or dataset.target not in ("class", "labels"):
        raise DataError(f"{dataset.name}: holds no images with classes or labels")
    multi_label = dataset.target == "labels"
    samples = []
    for i, names in enumerate(dataset.class_names()):
        pixels = dataset.read(torch.tensor([i])).images.numpy()
        entry = FileEntry(dataset.location(i), pixels.nbytes, zlib.crc32(pixels.tobytes()))
        labels = tuple(names.split("|")) if multi_label and names else () if multi_label else (names,)
        samples.append(Sample(entry, labels, dataset.given_split[i] if dataset.given_split else None))
    return Manifest(
        dataset.name, ArrayStorage(dataset), tuple(samples), dataset.classes, multi_label=multi_label
    )
