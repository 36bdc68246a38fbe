"""Published ImageNet weights: where they are, and the images that they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TORCHVISION = "https://download.pytorch.org/models/{name}"


@dataclass(frozen=True)
class PublishedInput:
    """How images are prepared for published weights; with another preparation accuracy is lost.

    Attributes:
        image_size: The side of the images in pixels.
        crop_pct: The fraction of the shorter side that the center crop covers.
        interpolation: The filter of resizing.
        normalize: The normalization of pixels.
    """

    image_size: int = 224
    crop_pct: float = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    normalize: str = "imagenet"

    def fields(self, *, whole: bool = False) -> dict[str, Any]:
        """The matching fields of a recipe.

        Args:
            whole: Whether the center crop covers the whole shorter side, as is better for own photos.
        """
        return {
            "preprocess.image_size": self.image_size,
            "preprocess.channels": 3,
            "preprocess.resize": "crop",
            "preprocess.crop_pct": 1.0 if whole else self.crop_pct,
            "preprocess.interpolation": self.interpolation,
            "preprocess.normalize": self.normalize,
        }

    def __str__(self) -> str:
        scale = f"{self.interpolation}, crop {self.crop_pct:.3g}"
        return f"{self.image_size} px, {scale}, {self.normalize}"


@dataclass(frozen=True)
class PublishedFile:
    """A file of public weights.

    Attributes:
        name: The name of the file.
        sha256: The beginning of its checksum.
        address: Its URL; None if it is only in a package.
        package: A Python package that holds it; None if there is none.
        license: The license of the weights.
        accuracy: The published top-1 accuracy on ImageNet, 0…1.
        input: How images are prepared for it.
        options: The options of the network that it fits.
        new_head: Further options of a network that gets a new head.
    """

    name: str
    sha256: str
    address: str | None = None
    package: str | None = None
    license: str = "BSD-3-Clause"
    accuracy: float = 0.0
    input: PublishedInput = field(default_factory=PublishedInput)
    options: Mapping[str, Any] = field(default_factory=dict)
    new_head: Mapping[str, Any] = field(default_factory=dict)


def torchvision_file(
    name: str,
    accuracy: float,
    *,
    package: str | None = None,
    normalize: str = "imagenet",
    crop_pct: float = 0.875,
    new_head: Mapping[str, Any] | None = None,
    **options: Any,
) -> PublishedFile:
    """A file of torchvision, whose name ends in the beginning of its sha256.

    Args:
        name: The name of the file.
        accuracy: The published top-1 accuracy.
        package: A Python package that holds the file.
        normalize: The normalization of pixels.
        crop_pct: The fraction of the shorter side that the center crop covers.
        new_head: Further options of a network that gets a new head.
        **options: The options of the network that the file fits.
    """
    return PublishedFile(
        name,
        name.removesuffix(".pth").rpartition("-")[2],
        TORCHVISION.format(name=name),
        package,
        accuracy=accuracy,
        input=PublishedInput(crop_pct=crop_pct, normalize=normalize),
        options=options,
        new_head=new_head or {},
    )
