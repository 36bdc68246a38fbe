"""The source of image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from convnet.data.datasets.dataset import Modality, class_names, rarest_label, subset_info
from convnet.data.files.image_reader import ImageReader
from convnet.types import Batch, ImageShape, SplitName, TargetKind

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageDataset:
    """Images in files, decoded when they are read; `rows` are their positions among the `files`.

    Targets are int64 N, or uint8 N×K where samples may have several labels. A batch lacks the images that
    could not be read. `groups` and `duplicates` number what belongs together and what is the same picture;
    `excluded` says of samples why nothing should be learnt from them; `left_out` names the files that could not
    be read when they were listed, `warnings` say what is worth knowing, and `audit` has it all, where all files
    were looked at.
    """

    name: str
    files: ImageReader
    rows: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    places: Sequence[str]
    given_split: Sequence[SplitName] | None = None
    groups: Tensor | None = None
    duplicates: Tensor | None = None
    shards: Tensor | None = None
    excluded: Mapping[int, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    audit: Mapping[str, Any] | None = None
    device: torch.device = CPU

    modality: ClassVar[Modality] = "images"
    columns: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[Tensor | None] = None
    in_memory: ClassVar[bool] = False

    @property
    def target(self) -> TargetKind:
        """One class for each image, or any number of labels."""
        return "class" if self.targets.dim() == 1 else "labels"

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files that could not be read, each with its reason: so far, where not all were looked at."""
        return (*self.left_out, *(why for _, why in sorted(self.files.problems.items())))

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width of every image."""
        return self.files.shape

    @cached_property
    def labels(self) -> Tensor:
        """The class of each sample, int64 N; of several labels the rarest, and K where there is none."""
        return self.targets if self.targets.dim() == 1 else rarest_label(self.targets)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor) -> Batch:
        """The images that can be read, B×C×H×W in channels-last order, on the device of the source."""
        indices = indices.cpu()
        pixels, readable = self.files.take(self.rows[indices].numpy())
        indices = indices[torch.from_numpy(readable)]
        targets = self.targets[indices]
        if targets.dim() == 2:
            targets = targets.float()
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return Batch(images.to(self.device), targets.to(self.device), indices.to(self.device))

    def sample(self, index: int) -> Batch:
        """A batch of one sample."""
        return self.read(torch.tensor([index]))

    def class_names(self) -> list[str]:
        """The class of each sample; several labels with | between them."""
        return class_names(self.targets, self.classes)

    def location(self, index: int) -> str:
        """The path of the sample below the folder, or within the archive."""
        return self.places[index]

    def subset(self, indices: Tensor) -> ImageDataset:
        """A source of some of the samples, numbered anew."""
        return replace(
            self,
            rows=self.rows[indices],
            targets=self.targets[indices],
            shards=None if self.shards is None else self.shards[indices],
            **subset_info(self, indices),
        )

    def with_targets(self, targets: Tensor, classes: Sequence[str]) -> ImageDataset:
        """The same samples with other targets."""
        return replace(self, targets=targets, classes=tuple(classes))

    def to(self, device: torch.device) -> ImageDataset:
        """The same source, handing out batches that lie on `device`."""
        return replace(self, device=device)
