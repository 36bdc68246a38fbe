"""Pictures at their own sizes, and folders of them that belong together by name."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.storage import Contents
from convnet.data.images.decode import decode_file
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.targets import IMAGE
from convnet.types import ImageShape, SplitName

Pixels = NDArray[np.uint8]

INPUT_FOLDERS = ("inputs", "input", "before")
TARGET_FOLDERS = ("targets", "target", "after")


@dataclass(frozen=True)
class File:
    """A picture, the split its folder gave it, and its partner (a mask, a target) if it has one."""

    path: Path
    split: SplitName | None
    partner: Path | None = None


def open_photos(
    root: Path, contents: Contents, preprocess: Preprocess, channels: int | None = None
) -> TensorDataset:
    """Every picture below `root`, at its own size unless the preprocessing names one; no classes.

    Those that cannot be read are left out and listed in `unreadable`.

    Raises:
        DataError: no pictures, or more pixels than fit.
    """
    files = list_photos(root, contents)
    pictures, _, problems = read_pictures([f.path for f in files], preprocess, channels)
    files = [f for i, f in enumerate(files) if i not in problems]
    if not files:
        raise DataError(f"{root}: no picture can be read: {next(iter(problems.values()))}")
    images, sizes = stack(str(root), pictures)
    return from_tensors(
        name=root.resolve().name,
        images=images,
        targets=torch.zeros(len(files), dtype=torch.int64),
        classes=(root.resolve().name,),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        unreadable=tuple(problems.values()),
        sizes=sizes,
    )


def open_pairs(
    root: Path, contents: Contents, preprocess: Preprocess, channels: int | None = None
) -> TensorDataset:
    """Pictures in inputs/ and what should be made of them in targets/, matched by name.

    Raises:
        DataError: a picture without partner, of another size, unreadable, or more pixels than fit.
    """
    files = list_pairs(root, contents, INPUT_FOLDERS, TARGET_FOLDERS)
    partners = [f.partner for f in files if f.partner]
    paths = [*(f.path for f in files), *partners]
    pictures, own_sizes, problems = read_pictures(paths, preprocess, channels)
    if problems:
        raise DataError(f"{next(iter(problems.values()))}; remove it and its partner")
    inputs, targets = pictures[: len(files)], pictures[len(files) :]
    for file, given, wanted in zip(files, own_sizes[: len(files)], own_sizes[len(files) :], strict=True):
        require_same_size(file, given, wanted)
    images, sizes = stack(str(root), inputs)
    return from_tensors(
        name=root.resolve().name,
        images=images,
        targets=stack(str(root), targets)[0],
        classes=(),
        locations=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        target=IMAGE,
        sizes=sizes,
    )


def list_photos(root: Path, contents: Contents) -> list[File]:
    """All pictures of a folder; train/, val/ and test/ are the splits."""
    files = [
        File(root / name, split)
        for prefix, split in _split_folders(contents)
        for name in _pictures(contents, prefix)
    ]
    if not files:
        raise DataError(f"{root}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def has_folders(contents: Contents, first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a folder, or the train/ in it, holds a `first` and a `second` folder."""
    return any(
        _folder(contents, prefix, first) and _folder(contents, prefix, second)
        for prefix in ("", "train/", "training/")
    )


def list_pairs(root: Path, contents: Contents, first: Sequence[str], second: Sequence[str]) -> list[File]:
    """Pictures of a `first` folder with their partners, of the same name, in a `second` one.

    `root` holds both folders, or train/, val/ and test/ with both each. A partner may be of another format,
    and end in _mask, _label or _target.

    Raises:
        DataError: a folder or a partner is missing.
    """
    files: list[File] = []
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
                raise DataError(
                    f"{root / name}: has no partner of the same name in {root / theirs}; add it, or remove "
                    "the image"
                )
            files.append(File(root / name, split, root / partner))
        if partners:
            lonely = root / next(iter(partners.values()))
            raise DataError(
                f"{lonely}: has no image of the same name in {root / ours}; add it, or remove the file"
            )
    return files


def _split_folders(contents: Contents) -> list[tuple[str, SplitName | None]]:
    """The prefix of each split's folder; the whole where there are none."""
    top = [folder for folder in contents.folders if "/" not in folder and folder.lower() in SPLIT_FOLDERS]
    return [(f"{folder}/", SPLIT_FOLDERS[folder.lower()]) for folder in top] or [("", None)]


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


def read_pictures(
    paths: Sequence[Path], preprocess: Preprocess, channels: int | None = None
) -> tuple[list[Pixels], list[tuple[int, ...]], dict[int, str]]:
    """Pictures C×H×W in order, their sizes before they were resized, and what is wrong with the others.

    Problems are told by position and message. All pictures have the same channels: the ones asked for, else
    1 where all are grey, else 3.
    """
    channels = channels or preprocess.channels
    side = preprocess.image_size

    def read(path: Path) -> tuple[Pixels, tuple[int, ...]] | str:
        try:
            picture = decode_file(
                path,
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
    colours = channels or max((len(p) for p in pictures), default=1)
    pictures = [np.repeat(p, 3, 0) if len(p) < colours else p for p in pictures]
    return pictures, [size for _, size in readable], problems


def stack(name: str, arrays: Sequence[NDArray[np.generic]], fill: int = 0) -> tuple[Tensor, Tensor | None]:
    """Arrays …×H×W of different sizes as one, each in the upper left; and their sizes, if they differ.

    Raises:
        DataError: they would not fit into memory.
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
    """The splits that folders gave their files."""
    splits = [file.split for file in files if file.split]
    return splits or None


def require_same_size(file: File, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse a partner of another size."""
    if given != wanted:
        (height, width), (rows, columns) = given, wanted
        raise DataError(
            f"{file.partner}: is {columns}×{rows} pixels, its image {file.path} is {width}×{height}; "
            "both must have the same size"
        )
