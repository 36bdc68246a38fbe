"""Which files of a folder belong together: images, their splits, and partners of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from convnet.data.files.image_folder import without_wrapping
from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.storage import Contents
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.errors import DataError
from convnet.types import SplitName


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


def given_split_of(files: Sequence[File]) -> list[SplitName] | None:
    """The splits given by folders; None if there are none."""
    splits = [file.split for file in files if file.split]
    return splits or None
