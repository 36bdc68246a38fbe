"""Folders of images and masks (images/ and masks/), matched by file name."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convnet.data.datasets.image_pairs import name_of, read_pictures, reader_of, require_same_size, stack
from convnet.data.datasets.mask_file import RawMask, read_mask
from convnet.data.datasets.mask_values import Colors, class_indices, class_values, color_table
from convnet.data.datasets.pairing import given_split_of, list_pairs
from convnet.data.datasets.tensor_dataset import TensorDataset, equal_images, from_tensors
from convnet.data.files.storage import Contents
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.resize import resize_mask
from convnet.errors import DataError
from convnet.targets import MASK
from convnet.types import IGNORED

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentation")

WHITE = 255


@dataclass(frozen=True)
class MaskCodes:
    """How the values of masks become classes.

    Attributes:
        colors: The classes and their colors ("#rrggbb") or indices. Default: found from the values.
        ignore_index: The value of pixels without a class. Default: 255 in palette masks.
        threshold: The gray value from which pixels have the class 255, the others 0.
        nearest: Whether pixels of other values take the class of the nearest value.
    """

    colors: Colors | None = None
    ignore_index: int | None = None
    threshold: int | None = None
    nearest: bool = False

    @property
    def by_color(self) -> bool:
        """Whether classes are given by colors."""
        return any(isinstance(color, str) for color in (self.colors or {}).values())

    def prepared(self, raw: RawMask, high: int | None = None) -> RawMask:
        """A mask with the threshold applied.

        Args:
            raw: The mask.
            high: The value from the threshold on. Default: one that is divided in the same way when a
                predicted mask is read again.

        Raises:
            DataError: It has colors.
        """
        if self.threshold is None:
            return raw
        if raw.colored:
            raise DataError(f"{raw.path}: data.threshold does not apply to colors; use data.colors")
        values = np.where(raw.values >= self.threshold, high or max(WHITE, self.threshold), 0)
        return replace(raw, values=values, palette=False)


def open_masks(
    root: Path,
    contents: Contents,
    preprocess: Preprocess,
    reading: MaskCodes,
    *,
    channels: int | None = None,
    values: Mapping[str, int] | None = None,
) -> TensorDataset:
    """Open a folder, or zip archive, of images and masks.

    Args:
        root: The folder or archive.
        contents: Its listing.
        preprocess: Size and channels.
        reading: How the values of masks become classes.
        channels: The channels that a trained network takes.
        values: The classes of a trained network and their values. Default: those in the masks.

    Raises:
        DataError: An image has no mask, a mask has another size, or a mask value is not a class.
    """
    files = list_pairs(root, contents, IMAGE_FOLDERS, MASK_FOLDERS)
    read = reader_of(root)
    pictures, own_sizes, problems = read_pictures(read, [f.path for f in files], preprocess, channels)
    if problems:
        raise DataError(f"{next(iter(problems.values()))}; remove it and its mask")
    partners = [f.partner for f in files if f.partner]
    high = max(values.values()) if values else None

    def raw_mask(path: Path) -> RawMask:
        return reading.prepared(read_mask(path, read(path), by_color=reading.by_color), high)

    with ThreadPoolExecutor() as pool:
        raws = list(pool.map(raw_mask, partners))
    codes = values or (
        color_table(reading.colors) if reading.colors else class_values(raws, reading.ignore_index)
    )
    masks = []
    for file, picture, size, raw in zip(files, pictures, own_sizes, raws, strict=True):
        require_same_size(file, size, raw.values.shape)
        mask = class_indices(
            raw, codes, reading.ignore_index, nearest=reading.nearest, trained=values is not None
        )
        if preprocess.image_size:
            mask = resize_mask(mask, picture.shape[1:], preprocess.resizing)
        masks.append(mask)
    images, sizes = stack(str(root), pictures)
    found = ", ".join(map(str, list(codes.values())[:12])) + (" …" if len(codes) > 12 else "")
    plain = reading.colors is None and values is None and list(codes.values()) != list(range(len(codes)))
    return from_tensors(
        name=name_of(root),
        images=images,
        targets=stack(str(root), masks, IGNORED)[0],
        classes=tuple(codes),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        target=MASK,
        sizes=sizes,
        duplicates=equal_images(images),
        mask_values=() if reading.by_color else tuple(codes.values()),
        warnings=(f"masks hold the values {found}: {len(codes):,} classes of these names",) if plain else (),
    )
