"""Folders of pictures: one subfolder per class, or train/ val/ test/ of those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from convnet.data.decode import IMAGE_SUFFIXES, quiet_decoding, read_image
from convnet.data.preprocess import Preprocess, ResizePolicy, require_room
from convnet.data.source import MemorySource
from convnet.errors import DataError
from convnet.types import ImageShape, SplitName

DEFAULT_IMAGE_SIZE = 128
SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True)
class Sample:
    """One picture file, its class, and the split its folder gave it."""

    path: Path
    label: str
    split: SplitName | None


def open_folder(
    root: Path, preprocess: Preprocess, *, skip_unreadable: bool = False, shape: ImageShape | None = None
) -> MemorySource:
    """Read every picture below `root` once, resized, into memory.

    `shape`, if given, is what a trained network takes: then a single class is enough.

    Raises:
        DataError: no class folders, an empty one, no pictures, an unreadable picture (unless
            `skip_unreadable`: those are listed in the source's `skipped`), or more pixels than fit.
    """
    samples = sorted(list_samples(root), key=lambda s: str(s.path))
    classes = tuple(sorted({s.label for s in samples}))
    if len(classes) < 2 and shape is None:
        raise DataError(
            f"{root}: only one class, '{classes[0]}'; a classifier needs two or more class folders"
        )
    shape = shape or _choose_shape([s.path for s in samples], preprocess)
    require_room(str(root), len(samples), shape)
    images = np.zeros((len(samples), *shape), np.uint8)
    problems = dict(_decode_into(images, samples, preprocess.resize))
    if problems and not skip_unreadable:
        first, more = next(iter(problems.values())), len(problems) - 1
        raise DataError(
            first
            + (f" (and {more} more files)" if more else "")
            + "; remove it, or train with --set data.skip_unreadable=true, which leaves such files out"
        )
    lost = set(classes) - {s.label for i, s in enumerate(samples) if i not in problems}
    if lost:
        raise DataError(
            f"{root}: no picture of class '{min(lost)}' can be read: {next(iter(problems.values()))}"
        )
    kept = [i for i in range(len(samples)) if i not in problems]
    targets = [classes.index(samples[i].label) for i in kept]
    splits = [split for i in kept if (split := samples[i].split)]
    return MemorySource(
        name=root.resolve().name,
        images=torch.from_numpy(images[kept] if problems else images),
        targets=torch.tensor(targets, dtype=torch.int64),
        classes=classes,
        places=[samples[i].path.relative_to(root).as_posix() for i in kept],
        partition=splits or None,
        skipped=tuple(problems.values()),
    )


def list_samples(root: Path) -> list[Sample]:
    """The pictures below `root`, without opening them; hidden files and folders do not count.

    Raises:
        DataError: naming the folder that is missing, empty, or holds no pictures.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    subfolders = visible_folders(root)
    splits = {f: SPLIT_FOLDERS[f.name.lower()] for f in subfolders if f.name.lower() in SPLIT_FOLDERS}
    if not splits:
        return _class_folders(root, None)
    others = [f.name for f in subfolders if f not in splits]
    if others or "train" not in splits.values():
        found = ", ".join(f.name for f in subfolders)
        raise DataError(
            f"{root}: expected train/ with val/ and test/, or one folder per class; found {found}"
        )
    samples = [s for f, split in splits.items() for s in _class_folders(f, split)]
    _require_known_classes(root, samples)
    return samples


def _class_folders(root: Path, split: SplitName | None) -> list[Sample]:
    folders = visible_folders(root)
    if not folders:
        raise DataError(f"{root}: holds no class folders; expected one subfolder of images per class")
    samples = []
    for folder in folders:
        pictures = [p for p in sorted(folder.rglob("*")) if is_picture(p, folder)]
        if not pictures:
            raise DataError(
                f"{folder}: the class folder holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); "
                "add some or remove the folder"
            )
        for path in pictures:
            require_readable_name(path)
        samples += [Sample(path, folder.name, split) for path in pictures]
    return samples


def _require_known_classes(root: Path, samples: Sequence[Sample]) -> None:
    """A class that is only ever tested could not be learned."""
    trained = {s.label for s in samples if s.split == "train"}
    for sample in samples:
        if sample.label not in trained:
            raise DataError(
                f"{root}: class '{sample.label}' is in {sample.split}/ but not in train/; known classes: "
                + ", ".join(sorted(trained))
            )


def require_readable_name(path: Path) -> None:
    """Refuse a name that cannot be written into a run; the system hands out bytes that are no text, too."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{str(path)!r}: the name is not valid UTF-8; rename the file or its folder"
        ) from None


def visible_folders(root: Path) -> list[Path]:
    """The subfolders that are not hidden."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_picture(path: Path, root: Path) -> bool:
    """Whether it is a picture by its name, and not hidden anywhere below `root`."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file()


def _choose_shape(paths: Sequence[Path], preprocess: Preprocess) -> ImageShape:
    side = preprocess.image_size
    height, width = (side, side) if side else _common_size(paths)
    return ImageShape(preprocess.channels or _channels(paths), height, width)


def _common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """The size that all pictures share where it is small, else the default square."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes[image.height, image.width] += 1
        except Exception:
            continue  # damaged files make decoders raise nearly anything; named when decoded
        if len(sizes) > 1 or max(*image.size) > DEFAULT_IMAGE_SIZE:
            return DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE
    return next(iter(sizes), (DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE))


def _channels(paths: Sequence[Path]) -> int:
    """1 where all pictures are grey, else 3."""
    for path in paths:
        try:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "LA", "I", "I;16", "F"):
                    return 3
        except Exception:
            continue  # as above
    return 1


def _decode_into(
    images: NDArray[np.uint8], samples: Sequence[Sample], resize: ResizePolicy
) -> Iterator[tuple[int, str]]:
    """Fill `images`, a thread per core; yields (position, message) for each file that cannot be read."""
    _, channels, height, width = images.shape

    def decode(i: int) -> str | None:
        try:
            images[i] = read_image(samples[i].path, (height, width), channels, resize)
        except DataError as error:
            return str(error)
        return None

    with quiet_decoding(), ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        for i, problem in enumerate(pool.map(decode, range(len(samples)))):
            if problem:
                yield i, problem
