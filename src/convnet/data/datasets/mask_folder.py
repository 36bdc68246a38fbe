"""Folders of images and masks (images/ and masks/), matched by file name."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from convnet.data.datasets.image_pairs import (
    given_split_of,
    list_pairs,
    read_pictures,
    require_same_size,
    stack,
)
from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.data.files.storage import Contents
from convnet.data.images.decode import file_bytes
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.resize import resize_mask
from convnet.errors import DataError, in_one_line
from convnet.targets import MASK
from convnet.types import IGNORED

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentation")
MOST_CLASSES = 1000
VOID = 255
"""The index of pixels without a class in palette masks, by convention (Pascal VOC)."""

Values = NDArray[np.int64]
"""H×W; colors are encoded as red · 65536 + green · 256 + blue."""
Colors = Mapping[str, str | int]


@dataclass(frozen=True)
class RawMask:
    """The values of a mask file: indices, gray values or colors."""

    path: Path
    values: Values
    colored: bool
    palette: bool


def open_masks(
    root: Path,
    contents: Contents,
    preprocess: Preprocess,
    *,
    colors: Colors | None = None,
    ignore_index: int | None = None,
    channels: int | None = None,
) -> TensorDataset:
    """Open a folder of images and masks.

    Args:
        root: The folder.
        contents: Its listing.
        preprocess: Size and channels.
        colors: The classes and their colors ("#rrggbb") or indices. Default: masks hold class indices (gray
            or palette) or the values 0 and 255.
        ignore_index: The value of pixels without a class. Default: 255 in palette masks.
        channels: The channels that a trained network takes.

    Raises:
        DataError: An image has no mask, a mask has another size, or a mask value is not a class.
    """
    files = list_pairs(root, contents, IMAGE_FOLDERS, MASK_FOLDERS)
    pictures, own_sizes, problems = read_pictures([f.path for f in files], preprocess, channels)
    if problems:
        raise DataError(f"{next(iter(problems.values()))}; remove it and its mask")
    partners = [f.partner for f in files if f.partner]
    by_color = bool(colors) and any(isinstance(c, str) for c in (colors or {}).values())
    with ThreadPoolExecutor() as pool:
        raws = list(pool.map(lambda path: _read(path, by_color), partners))
    codes = _table(colors) if colors else _guess(raws, ignore_index)
    masks = []
    for file, picture, size, raw in zip(files, pictures, own_sizes, raws, strict=True):
        require_same_size(file, size, raw.values.shape)
        mask = _classes(raw, list(codes.values()), ignore_index, list(codes))
        if preprocess.image_size:
            mask = resize_mask(mask, picture.shape[1:], preprocess.resize)
        masks.append(mask)
    images, sizes = stack(str(root), pictures)
    return from_tensors(
        name=root.resolve().name,
        images=images,
        targets=stack(str(root), masks, IGNORED)[0],
        classes=tuple(codes),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        target=MASK,
        sizes=sizes,
    )


def _read(path: Path, by_color: bool) -> RawMask:
    with _opened(path) as image:
        if image.format == "JPEG":
            raise DataError(f"{path}: JPEG compression changes the values of a mask; save masks as PNG")
        palette = image.mode in ("P", "PA")
        if image.mode in ("I", "I;16") or (not by_color and (palette or image.mode in ("1", "L"))):
            values = np.asarray(image.convert("L") if image.mode == "1" else image).astype(np.int64)
            return RawMask(path, values, colored=False, palette=palette)
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int64), 2, 0)
    if not by_color and (red == green).all() and (green == blue).all():
        return RawMask(path, red, colored=False, palette=False)
    return RawMask(path, red << 16 | green << 8 | blue, colored=True, palette=False)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a mask; any error becomes a DataError that names the file."""
    try:
        with Image.open(io.BytesIO(file_bytes(path))) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise DataError(f"{path}: not a readable mask: {in_one_line(error)}") from error


def _table(colors: Colors) -> dict[str, int]:
    """The mask value of each class, with colors encoded as numbers."""
    codes = {}
    for name, value in colors.items():
        try:
            red, green, blue = ImageColor.getrgb(value)[:3] if isinstance(value, str) else (0, 0, 0)
        except ValueError:
            raise DataError(
                f"data.colors.{name}: '{value}' is not a color; write #rrggbb or an index"
            ) from None
        codes[str(name)] = value if isinstance(value, int) else red << 16 | green << 8 | blue
    if len(codes) < 2 or len(set(codes.values())) < len(codes):
        raise DataError("data.colors: expected two or more classes with different colors")
    return codes


def _guess(raws: Sequence[RawMask], ignore_index: int | None) -> dict[str, int]:
    """The classes of masks that hold indices, or the values 0 and 255."""
    for raw in raws:
        if raw.colored:
            found = ", ".join(f"#{value:06x}" for value in np.unique(raw.values)[:6])
            raise DataError(
                f"{raw.path}: this is a color mask ({found}); name the class of each color: "
                '--set \'data.colors={sky: "#0000ff", bird: "#ff0000"}\''
            )
    present: set[int] = set().union(*(np.unique(raw.values).tolist() for raw in raws))
    voids = {ignore_index} if ignore_index is not None else {VOID} if all(r.palette for r in raws) else set()
    values = sorted(present - voids)
    if values and set(values) <= {0, 255} and 255 in values:
        values = [0, 255]
    elif VOID in values and len(values) > 1 and values[-2] < VOID - 1:
        raise DataError(
            f"{raws[0].path.parent}: masks hold the indices 0…{values[-2]} and 255; if 255 means no class, "
            "use --set data.ignore_index=255"
        )
    elif values:
        values = [value for value in range(values[-1] + 1) if value not in voids]
    if not 2 <= len(values) <= MOST_CLASSES:
        raise DataError(f"{raws[0].path.parent}: masks hold {len(values)} classes; expected 2…{MOST_CLASSES}")
    return {str(value): value for value in values}


def _classes(
    raw: RawMask, values: Sequence[int], ignore_index: int | None, names: Sequence[str]
) -> NDArray[np.int16]:
    """The class indices of a mask's values."""
    order = np.argsort(values)
    ordered = np.array(values)[order]
    place = np.searchsorted(ordered, raw.values).clip(0, len(values) - 1)
    void = raw.values == (VOID if ignore_index is None and raw.palette else ignore_index)
    known = (ordered[place] == raw.values) & ~void
    if (strange := ~(known | void)).any():
        value = int(raw.values[strange][0])
        what = f"the color #{value:06x}" if raw.colored else f"the value {value}"
        raise DataError(
            f"{raw.path}: {strange.sum():,} pixels have {what}, which is not a class "
            f"(known: {', '.join(names[:12])}); add it to data.colors, or set data.ignore_index"
        )
    return np.where(known, order[place], IGNORED).astype(np.int16)
