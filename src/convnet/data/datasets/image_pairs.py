"""Folders of photos without classes, and pairs of folders matched by file name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data.datasets.tensor_dataset import TensorDataset, equal_images, from_tensors
from convnet.data.files.image_folder import without_wrapping
from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.storage import Contents, is_archive, open_storage
from convnet.data.images.decode import decode_named, file_bytes
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.targets import IMAGE
from convnet.types import ImageShape, SplitName

Pixels = NDArray[np.uint8]
Read = Callable[[Path], bytes]

INPUT_FOLDERS = ("inputs", "input", "before")
TARGET_FOLDERS = ("targets", "target", "after")


@dataclass(frozen=True)
class File:
    """An image file, the split given by its folder, and its partner (mask or target), if any."""

    path: Path
    split: SplitName | None
    partner: Path | None = None


@dataclass(frozen=True)
class Pairing:
    """The images of two folders, matched by name.

    Attributes:
        files: The images that have a partner.
        lonely: The other files, with reasons.
    """

    files: list[File]
    lonely: dict[Path, str]


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


def list_photos(root: Path, contents: Contents) -> list[File]:
    """All images of a folder; train/, val/ and test/ are splits."""
    files = [
        File(root / name, split)
        for prefix, split in _split_folders(contents)
        for name in _pictures(contents, prefix)
    ]
    if not files:
        raise DataError(f"{root}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def has_folders(contents: Contents, first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a folder, or its train/, holds a folder named in `first` and one named in `second`."""
    outer = _outer_folder(contents)
    return any(
        _folder(contents, f"{outer}{prefix}", first) and _folder(contents, f"{outer}{prefix}", second)
        for prefix in ("", "train/", "training/")
    )


def list_pairs(root: Path, contents: Contents, first: Sequence[str], second: Sequence[str]) -> list[File]:
    """List the images of one folder, all of which have partners in another; see `pair_up`.

    Raises:
        DataError: A folder or a partner is missing.
    """
    found = pair_up(root, contents, first, second)
    if found.lonely:
        path, reason = next(iter(found.lonely.items()))
        count = len(found.lonely)
        more = f" ({count:,} files are alone; 'convnet data audit {root}' lists them)" if count > 1 else ""
        raise DataError(f"{path}: {reason}{more}")
    return found.files


def pair_up(root: Path, contents: Contents, first: Sequence[str], second: Sequence[str]) -> Pairing:
    """Match the images of one folder with their partners of the same name in another.

    A partner may have another format and end in _mask, _label or _target.

    Args:
        root: The folder that holds both, or train/, val/ and test/ with both in each.
        contents: Its listing.
        first: Names for the folder of images.
        second: Names for the folder of partners.

    Raises:
        DataError: A folder is missing, holds no images, or two partners have the same name.
    """
    files: list[File] = []
    lonely: dict[Path, str] = {}
    for prefix, split in _split_folders(contents):
        ours, theirs = (_folder(contents, prefix, names) for names in (first, second))
        if ours is None or theirs is None:
            raise DataError(f"{root / prefix}: expected a folder {first[0]}/ and a folder {second[0]}/ in it")
        partners = _by_name(root, contents, theirs)
        pictures = _pictures(contents, ours)
        if not pictures:
            raise DataError(f"{root / ours}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        for name in pictures:
            partner = partners.pop(_key(name, ours), None)
            if partner is None:
                reason = f"there is no file of the same name in {root / theirs}; add it, or remove the image"
                lonely[root / name] = reason
            else:
                files.append(File(root / name, split, root / partner))
        for name in partners.values():
            reason = f"there is no image of the same name in {root / ours}; add it, or remove the file"
            lonely[root / name] = reason
    return Pairing(files, lonely)


def _split_folders(contents: Contents) -> list[tuple[str, SplitName | None]]:
    """The prefix of each split's folder, or that of the whole if there are none."""
    outer = _outer_folder(contents)
    inner = [folder[len(outer) :] for folder in contents.folders if folder.startswith(outer)]
    splits = [name for name in inner if name.lower() in SPLIT_FOLDERS]
    return [(f"{outer}{name}/", SPLIT_FOLDERS[name.lower()]) for name in splits] or [(outer, None)]


def _outer_folder(contents: Contents) -> str:
    """The prefix of the single folder that holds everything, as archives often have one; else empty."""
    pictures = [entry for entry in contents.entries if has_image_name(entry.name)]
    prefix, _ = without_wrapping(contents, pictures)
    return prefix if all(picture.name.startswith(prefix) for picture in pictures) else ""


def _folder(contents: Contents, prefix: str, names: Sequence[str]) -> str | None:
    """The prefix of the subfolder with one of these names."""
    return next(
        (f"{f}/" for f in contents.folders if f.startswith(prefix) and f[len(prefix) :].lower() in names),
        None,
    )


def _pictures(contents: Contents, prefix: str) -> list[str]:
    return [e.name for e in contents.entries if e.name.startswith(prefix) and has_image_name(e.name)]


def _by_name(root: Path, contents: Contents, prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _pictures(contents, prefix):
        key = _key(name, prefix)
        if key in found:
            raise DataError(f"{root / name}: has the same name as {root / found[key]}; remove one of them")
        found[key] = name
    return found


def _key(name: str, prefix: str) -> str:
    stem = PurePosixPath(name[len(prefix) :]).with_suffix("").as_posix()
    for ending in ("_mask", "_label", "_labels", "_target", "-mask", "_gt"):
        stem = stem.removesuffix(ending)
    return stem


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
        pixels = picture.pixels if side is None else resize(picture.pixels, (side, side), preprocess.resize)
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


def given_split_of(files: Sequence[File]) -> list[SplitName] | None:
    """The splits given by folders; None if there are none."""
    splits = [file.split for file in files if file.split]
    return splits or None


def require_same_size(file: File, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Check that a partner has the size of its image."""
    if given != wanted:
        (height, width), (rows, columns) = given, wanted
        raise DataError(
            f"{file.partner}: is {columns}×{rows} pixels, but its image {file.path} is {width}×{height}; "
            "both must have the same size"
        )
