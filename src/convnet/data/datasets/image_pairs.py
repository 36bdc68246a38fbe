"""Folders of photos without classes, and pairs of folders, read into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data.datasets.pairing import File, given_split_of, list_pairs, list_photos
from convnet.data.datasets.tensor_dataset import TensorDataset, equal_images, from_tensors
from convnet.data.files.storage import Contents, is_archive, open_storage
from convnet.data.images.decode import decode_named, file_bytes
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.targets import IMAGE
from convnet.types import ImageShape

Pixels = NDArray[np.uint8]
Read = Callable[[Path], bytes]

INPUT_FOLDERS = ("inputs", "input", "before")
TARGET_FOLDERS = ("targets", "target", "after")


def open_photos(
    root: Path, contents: Contents, preprocess: Preprocess, channels: int | None = None
) -> TensorDataset:
    """Open all images in a folder, without classes, at their own sizes unless `preprocess` sets one.

    Images that cannot be read are left out and listed in `info.unreadable`.

    Args:
        root: The folder.
        contents: Its listing.
        preprocess: Size and channels.
        channels: The channels that a trained network takes.

    Raises:
        DataError: There are no readable images, or they do not fit into memory.
    """
    files = list_photos(root, contents)
    pictures, _, problems = read_pictures(reader_of(root), [f.path for f in files], preprocess, channels)
    files = [f for i, f in enumerate(files) if i not in problems]
    if not files:
        raise DataError(f"{root}: no image can be read: {next(iter(problems.values()))}")
    images, sizes = stack(str(root), pictures)
    return from_tensors(
        name=name_of(root),
        images=images,
        targets=torch.zeros(len(files), dtype=torch.int64),
        classes=(name_of(root),),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        unreadable=tuple(problems.values()),
        sizes=sizes,
    )


def open_pairs(
    root: Path, contents: Contents, preprocess: Preprocess, channels: int | None = None
) -> TensorDataset:
    """Open pairs of images in inputs/ and targets/, matched by name.

    Args:
        root: The folder that holds both.
        contents: Its listing.
        preprocess: Size and channels.
        channels: The channels that a trained network takes.

    Raises:
        DataError: An image has no partner, is unreadable or differs in size from its partner, or the images
            do not fit into memory.
    """
    files = list_pairs(root, contents, INPUT_FOLDERS, TARGET_FOLDERS)
    partners = [f.partner for f in files if f.partner]
    paths = [*(f.path for f in files), *partners]
    pictures, own_sizes, problems = read_pictures(reader_of(root), paths, preprocess, channels)
    if problems:
        raise DataError(f"{next(iter(problems.values()))}; remove it and its partner")
    inputs, targets = pictures[: len(files)], pictures[len(files) :]
    for file, given, wanted in zip(files, own_sizes[: len(files)], own_sizes[len(files) :], strict=True):
        require_same_size(file, given, wanted)
    images, sizes = stack(str(root), inputs)
    return from_tensors(
        name=name_of(root),
        images=images,
        targets=stack(str(root), targets)[0],
        classes=(),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        target=IMAGE,
        sizes=sizes,
        duplicates=equal_images(images),
    )


def name_of(root: Path) -> str:
    """The name of the data in a folder or archive."""
    return root.resolve().stem if is_archive(root) else root.resolve().name


def reader_of(root: Path) -> Read:
    """A function that reads files by path, below a folder or within a zip archive."""
    if not is_archive(root):
        return file_bytes
    store = open_storage(root)
    return lambda path: store.read(path.relative_to(root).as_posix())


def read_pictures(
    read_file: Read, paths: Sequence[Path], preprocess: Preprocess, channels: int | None = None
) -> tuple[list[Pixels], list[tuple[int, ...]], dict[int, str]]:
    """Read images into memory.

    All images get the same channels: those asked for, else 1 if all are gray, else 3.

    Args:
        read_file: Reads a file.
        paths: The files.
        preprocess: Size and channels.
        channels: The channels that a trained network takes.

    Returns:
        The readable images C×H×W in order, their sizes before resizing, and the problems by position.
    """
    channels = channels or preprocess.channels
    side = preprocess.image_size

    def read(path: Path) -> tuple[Pixels, tuple[int, ...]] | str:
        try:
            picture = decode_named(
                str(path),
                read_file(path),
                channels=channels,
                background=preprocess.background,
                allow_truncated=preprocess.allow_truncated,
            )
        except DataError as error:
            return str(error)
        size = picture.pixels.shape[:2]
        pixels = picture.pixels if side is None else resize(picture.pixels, (side, side), preprocess.resizing)
        return pixels.transpose(2, 0, 1), size

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(read, paths))
    problems = {i: result for i, result in enumerate(results) if isinstance(result, str)}
    readable = [result for result in results if not isinstance(result, str)]
    pictures = [pixels for pixels, _ in readable]
    colors = channels or max((len(p) for p in pictures), default=1)
    pictures = [np.repeat(p, 3, 0) if len(p) < colors else p for p in pictures]
    return pictures, [size for _, size in readable], problems


def stack(name: str, arrays: Sequence[NDArray[np.generic]], fill: int = 0) -> tuple[Tensor, Tensor | None]:
    """Stack arrays …×H×W of different sizes.

    Args:
        name: The name of the data, for messages.
        arrays: The arrays.
        fill: The value outside smaller arrays, which fill the upper left.

    Returns:
        The stacked arrays, and their heights and widths N×2 if they differ.

    Raises:
        DataError: They do not fit into memory.
    """
    sizes = [array.shape[-2:] for array in arrays]
    height, width = (max(size[i] for size in sizes) for i in (0, 1))
    before = arrays[0].shape[:-2]
    require_room(name, len(arrays), ImageShape(before[0] if before else 1, height, width))
    stacked = np.full((len(arrays), *before, height, width), fill, arrays[0].dtype)
    for place, array in zip(stacked, arrays, strict=True):
        place[..., : array.shape[-2], : array.shape[-1]] = array
    differ = len(set(sizes)) > 1
    return torch.from_numpy(stacked), torch.tensor(sizes, dtype=torch.int64) if differ else None


def require_same_size(file: File, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Check that a partner has the size of its image."""
    if given != wanted:
        (height, width), (rows, columns) = given, wanted
        raise DataError(
            f"{file.partner}: is {columns}×{rows} pixels, but its image {file.path} is {width}×{height}; "
            "both must have the same size"
        )
