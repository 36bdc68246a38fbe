"""`TensorDataset`: all samples in memory, or on the accelerator, as one tensor."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnet.data.datasets.dataset import (
    Dataset,
    DatasetInfo,
    class_names,
    described,
    location,
    read_sample,
    subset,
    subset_info,
    to_device,
    with_targets,
)
from convnet.data.files.manifest import Manifest, Sample
from convnet.data.files.storage import FileEntry
from convnet.data.images.pixels import DecodeError, pixels_checksum, to_channels
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import Resizing, resize
from convnet.errors import DataError
from convnet.types import Batch, ImageShape, SplitName, checksum


@dataclass(frozen=True)
class TensorDataset:
    """A dataset whose samples are in one tensor.

    Attributes:
        info: Facts about the data.
        images: uint8 N×C×H×W; samples of different sizes fill the upper left. Tables are float N×C×1×1 with
            one channel per column, series float N×C×1×L with NaN after the end of shorter ones.
        targets: Stored targets, in the form that `info.target` defines.
    """

    info: DatasetInfo
    images: Tensor
    targets: Tensor

    def __repr__(self) -> str:
        """Name, number and shape of the samples."""
        return described(self)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Batch:
        """Read samples, B×C×H×W, on the device of the dataset."""
        indices = indices.to(self.images.device)
        images, targets = self.images.index_select(0, indices), self.targets.index_select(0, indices)
        sizes = None if self.info.sizes is None else self.info.sizes[indices.to(self.info.sizes.device)]
        return Batch(images, self.info.target.batch(targets), indices, sizes)


@subset.register
def _(dataset: TensorDataset, indices: Tensor) -> TensorDataset:
    return TensorDataset(
        subset_info(dataset.info, indices), dataset.images[indices], dataset.targets[indices]
    )


@with_targets.register
def _(dataset: TensorDataset, targets: Tensor, classes: Sequence[str]) -> TensorDataset:
    return replace(dataset, targets=targets, info=replace(dataset.info, classes=tuple(classes)))


@to_device.register
def _(dataset: TensorDataset, device: torch.device) -> TensorDataset:
    if dataset.images.device == device:
        return dataset
    return replace(dataset, images=dataset.images.to(device), targets=dataset.targets.to(device))


def from_tensors(
    name: str,
    images: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    locations: Sequence[str],
    given_split: Sequence[SplitName] | None = None,
    **facts: Any,
) -> TensorDataset:
    """Make a dataset from tensors.

    Args:
        name: Its name.
        images: N×C×H×W.
        targets: Stored targets.
        classes: Class names.
        locations: The path or position of each sample.
        given_split: The split of each sample, if given by the data.
        **facts: Further fields of `DatasetInfo`.
    """
    shape = ImageShape(*images.shape[1:])
    info = DatasetInfo(name, shape, tuple(classes), locations, given_split=given_split, **facts)
    return TensorDataset(info, images, targets)


def equal_images(images: Tensor) -> Tensor:
    """A number per image N×C×H×W, int64 N, the same for images that are equal in every pixel."""
    numbers: dict[int, int] = {}
    stored = images.contiguous().numpy()
    return torch.tensor([numbers.setdefault(checksum(image.tobytes()), len(numbers)) for image in stored])


def with_checksums(dataset: TensorDataset) -> TensorDataset:
    """The dataset with a checksum per sample, of its values and its target, and one of its values alone."""
    values, targets = dataset.images.contiguous().numpy(), dataset.targets.contiguous().numpy()
    numbers = [checksum(x.tobytes() + t.tobytes()) for x, t in zip(values, targets, strict=True)]
    contents = dataset.info.contents
    if contents is None:
        contents = torch.tensor([pixels_checksum(x) for x in values.transpose(0, 2, 3, 1)], dtype=torch.int64)
    info = replace(dataset.info, checksums=torch.tensor(numbers, dtype=torch.int64), contents=contents)
    return replace(dataset, info=info)


def with_images(dataset: Dataset, images: Tensor) -> TensorDataset:
    """The dataset with other images N×C×H×W, in memory."""
    info = replace(dataset.info, shape=ImageShape(*images.shape[1:]), sizes=None, shards=None, in_memory=True)
    return TensorDataset(info, images, dataset.targets.to(images.device))


def preprocess_images(
    dataset: TensorDataset, preprocess: Preprocess, shape: ImageShape | None, channels: ImageShape | None
) -> TensorDataset:
    """Resize images in memory to the `shape` of a trained network, or according to `preprocess`."""
    own, side = dataset.info.shape, preprocess.image_size
    wanted = ImageShape(preprocess.channels or own.channels, side or own.height, side or own.width)
    if channels is not None:
        wanted = wanted._replace(channels=channels.channels)
    return _adapt(dataset, shape or wanted, preprocess.resizing)


def _adapt(dataset: TensorDataset, shape: ImageShape, how: Resizing) -> TensorDataset:
    """Resize images and convert their channels if `shape` differs."""
    info = dataset.info
    if shape == info.shape and how.crop_pct == 1:
        return dataset
    if info.target.dense and (info.target.colored or shape[1:] != info.shape[1:] or how.crop_pct < 1):
        raise DataError(f"{info.name}: images with masks cannot be resized; their shape is {info.shape}")
    if info.sizes is not None and shape[1:] == info.shape[1:]:
        raise DataError(f"{info.name}: preprocess.channels does not apply without preprocess.image_size")
    require_room(info.name, len(dataset), shape)
    images = np.empty((len(dataset), *shape), np.uint8)
    for i in range(len(dataset)):
        whole = dataset.images[i] if info.sizes is None else read_sample(dataset, i).images[0]
        pixels = resize(whole.permute(1, 2, 0).numpy(), (shape.height, shape.width), how)
        try:
            images[i] = to_channels(pixels, shape.channels).transpose(2, 0, 1)
        except DecodeError as error:
            raise DataError(f"{location(dataset, i)}: {error.reason}") from error
    return with_images(dataset, torch.from_numpy(images))


class ArrayStorage:
    """The images of a dataset in memory, each as the bytes of a NumPy array H×W×C."""

    remote = False

    def __init__(self, dataset: TensorDataset) -> None:
        self.root = Path(dataset.info.name)
        self._dataset = dataset
        self._indices = {name: i for i, name in enumerate(dataset.info.locations)}

    def read(self, name: str) -> bytes:
        """The image of a sample by its location."""
        written = io.BytesIO()
        sample = read_sample(self._dataset, self._indices[name])
        np.save(written, sample.images[0].permute(1, 2, 0).numpy())
        return written.getvalue()


def list_arrays(dataset: TensorDataset) -> Manifest:
    """List the samples of a dataset in memory that holds images with classes or labels.

    Raises:
        DataError: The dataset holds something else.
    """
    info = dataset.info
    if info.modality != "images" or info.target.dense:
        raise DataError(f"{info.name}: holds no images with classes or labels")
    multi_label = not info.target.exclusive
    samples = []
    for i, names in enumerate(class_names(dataset)):
        pixels = dataset.read(torch.tensor([i])).images.numpy()
        entry = FileEntry(info.locations[i], pixels.nbytes, zlib.crc32(pixels.tobytes()))
        labels = tuple(names.split("|")) if multi_label and names else () if multi_label else (names,)
        samples.append(Sample(entry, labels, info.given_split[i] if info.given_split else None))
    return Manifest(info.name, ArrayStorage(dataset), tuple(samples), info.classes, multi_label=multi_label)
