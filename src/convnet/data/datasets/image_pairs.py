"""Pictures at their own sizes, and folders of them that belong together by name."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.storage import FolderStorage, visible_folders
from convnet.data.images.decode import decode_file
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import fit
from convnet.errors import DataError
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


def open_photos(root: Path, preprocess: Preprocess, *, channels: int | None = None) -> TensorDataset:
    """Every picture below `root`, at its own size unless the preprocessing names one; no classes.

    Those that cannot be read are left out and listed in `unreadable`.

    Raises:
        DataError: no pictures, or more pixels than fit.
    """
    files = list_photos(root)
    pictures, _, problems = read_pictures([f.path for f in files], preprocess, channels)
    files = [f for i, f in enumerate(files) if i not in problems]
    if not files:
        raise DataError(f"{root}: no picture can be read: {next(iter(problems.values()))}")
    images, sizes = stack(str(root), pictures)
    return TensorDataset(
        name=root.resolve().name,
        images=images,
        targets=torch.zeros(len(files), dtype=torch.int64),
        classes=(root.resolve().name,),
        places=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        unreadable=tuple(problems.values()),
        sizes=sizes,
    )


def open_pairs(root: Path, preprocess: Preprocess, channels: int | None = None) -> TensorDataset:
    """Pictures in inputs/ and what should be made of them in targets/, matched by name.

    Raises:
        DataError: a picture without partner, of another size, unreadable, or more pixels than fit.
    """
    files = list_pairs(root, INPUT_FOLDERS, TARGET_FOLDERS)
    partners = [f.partner for f in files if f.partner]
    paths = [*(f.path for f in files), *partners]
    pictures, own_sizes, problems = read_pictures(paths, preprocess, channels)
    if problems:
        raise DataError(f"{next(iter(problems.values()))}; remove it and its partner")
    inputs, targets = pictures[: len(files)], pictures[len(files) :]
    for file, given, wanted in zip(files, own_sizes[: len(files)], own_sizes[len(files) :], strict=True):
        require_same_size(file, given, wanted)
    images, sizes = stack(str(root), inputs)
    return TensorDataset(
        name=root.resolve().name,
        images=images,
        targets=stack(str(root), targets)[0],
        classes=(),
        places=[f.path.relative_to(root).as_posix() for f in files],
        given_split=given_split_of(files),
        target="image",
        sizes=sizes,
    )


def list_photos(root: Path) -> list[File]:
    """All pictures below a folder; train/, val/ and test/ are the splits."""
    folders = {
        f: SPLIT_FOLDERS[f.name.lower()] for f in visible_folders(root) if f.name.lower() in SPLIT_FOLDERS
    }
    places: list[tuple[Path, SplitName | None]] = list(folders.items()) if folders else [(root, None)]
    files = [File(p, split) for place, split in places for p in pictures_below(place)]
    if not files:
        raise DataError(f"{root}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def has_folders(root: Path, first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a folder, or the train/ in it, holds a `first` and a `second` folder."""
    places = [f for f in (root, root / "train", root / "training") if f.is_dir()]
    return any(find_folder(place, first) and find_folder(place, second) for place in places)


def list_pairs(root: Path, first: Sequence[str], second: Sequence[str]) -> list[File]:
    """Pictures of a `first` folder with their partners, of the same name, in a `second` one.

    `root` holds both folders, or train/, val/ and test/ with both each. A partner may be of another format,
    and end in _mask, _label or _target.

    Raises:
        DataError: a folder or a partner is missing.
    """
    folders = {
        f: SPLIT_FOLDERS[f.name.lower()] for f in visible_folders(root) if f.name.lower() in SPLIT_FOLDERS
    }
    places: list[tuple[Path, SplitName | None]] = list(folders.items()) if folders else [(root, None)]
    files: list[File] = []
    for place, split in places:
        ours, theirs = (find_folder(place, names) for names in (first, second))
        if ours is None or theirs is None:
            raise DataError(f"{place}: expected a folder {first[0]}/ and a folder {second[0]}/ in it")
        partners = _by_name(theirs)
        pictures = pictures_below(ours)
        if not pictures:
            raise DataError(f"{ours}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        for path in pictures:
            partner = partners.pop(_key(path, ours), None)
            if partner is None:
                raise DataError(
                    f"{path}: has no partner of the same name in {theirs}; add it, or remove the image"
                )
            files.append(File(path, split, partner))
        if partners:
            lonely = next(iter(partners.values()))
            raise DataError(f"{lonely}: has no image of the same name in {ours}; add it, or remove the file")
    return files


def find_folder(root: Path, names: Sequence[str]) -> Path | None:
    """The subfolder with one of these names."""
    return next((f for f in visible_folders(root) if f.name.lower() in names), None)


def pictures_below(root: Path) -> list[Path]:
    """All picture files below a folder, hidden ones left out."""
    entries = FolderStorage(root).contents().entries
    return [root / entry.name for entry in entries if has_image_name(entry.name)]


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in pictures_below(folder):
        key = _key(path, folder)
        if key in found:
            raise DataError(f"{path}: has the same name as {found[key]}; remove one of them")
        found[key] = path
    return found


def _key(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).with_suffix("").as_posix()
    for ending in ("_mask", "_label", "_labels", "_target", "-mask", "_gt"):
        name = name.removesuffix(ending)
    return name


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
        pixels = picture.pixels if side is None else fit(picture.pixels, (side, side), preprocess.resize)
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
