"""Public ImageNet weights, whose tensors have the names of the networks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PublishedFile:
    """A public weights file.

    Attributes:
        address: Its URL.
        sha256: The beginning of its checksum.
        options: The options of the network that it fits.
        normalize: The normalization of pixels that it was trained with.
    """

    address: str
    sha256: str
    options: Mapping[str, Any] = field(default_factory=dict)
    normalize: str = "imagenet"


def torchvision_file(name: str, normalize: str = "imagenet", **options: Any) -> PublishedFile:
    """A file of torchvision, whose name ends in the beginning of its sha256."""
    checksum = name.removesuffix(".pth").rpartition("-")[2]
    return PublishedFile(f"https://download.pytorch.org/models/{name}", checksum, options, normalize)
