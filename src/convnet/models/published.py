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


_ROOT = "https://download.pytorch.org/models/"


def _file(name: str, normalize: str = "imagenet", **options: Any) -> PublishedFile:
    """A file of torchvision, whose name ends in the beginning of its sha256."""
    return PublishedFile(_ROOT + name, name.removesuffix(".pth").rpartition("-")[2], options, normalize)


IMAGENET: dict[str, PublishedFile] = {
    "alexnet": _file("alexnet-owt-7be5be79.pth", layout="one-tower"),
    "googlenet": _file("googlenet-1378be20.pth", "symmetric", batch_norm=True, layout="published"),
    "resnet18": _file("resnet18-f37072fd.pth"),
    "resnet34": _file("resnet34-b627a593.pth"),
    "resnet50": _file("resnet50-0676ba61.pth"),
    "resnet101": _file("resnet101-63fe2227.pth"),
    "resnet152": _file("resnet152-394f9c45.pth"),
    "vgg-a": _file("vgg11-8a719046.pth"),
    "vgg-b": _file("vgg13-19584684.pth"),
    "vgg-d": _file("vgg16-397923af.pth"),
    "vgg-e": _file("vgg19-dcbb9e9d.pth"),
}
