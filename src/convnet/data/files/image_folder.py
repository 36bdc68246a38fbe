"""One folder per class, or train/ val/ test/ of them; in a folder or a zip archive."""

from __future__ import annotations

from functools import cache, partial

from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, Sample, make_manifest
from convnet.data.files.storage import Contents, FileEntry, Ignored, Storage
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.errors import DataError
from convnet.types import SplitName


def list_folder(store: Storage, contents: Contents) -> Manifest:
    """List images with the classes given by their folders.

    A folder that holds images is a class, including its subfolders. A folder that holds only folders becomes
    part of their class names: animals/cat. A single outer folder is skipped. Folders called train, val and
    test are splits, unless they hold images themselves and stand beside other classes.

    Args:
        store: The storage.
        contents: Its listing.

    Raises:
        DataError: A folder is missing, or there are no class folders.
    """
    pictures: list[FileEntry] = []
    ignored = list(contents.ignored)
    for entry in contents.entries:
        if has_image_name(entry.name):
            pictures.append(entry)
        else:
            ignored.append(Ignored(entry.name, "its suffix is not that of an image"))
    root, folders = without_wrapping(contents, pictures)
    splits = {f: SPLIT_FOLDERS[f.lower()] for f in folders if f.lower() in SPLIT_FOLDERS}
    if len(splits) < len(folders) and any(_holds(f"{root}{folder}/", pictures) for folder in splits):
        splits = {}  # classes of that name, beside other classes
    if splits and ("train" not in splits.values() or len(splits) < len(folders)):
        raise DataError(
            f"{store.root}: expected train/ with val/ and test/, or one folder per class; found "
            + ", ".join(sorted(folders))
        )
    places: dict[str, SplitName | None] = {f"{root}{name}/": s for name, s in splits.items()} or {root: None}
    samples: list[Sample] = []
    empty: list[str] = []
    for place, split in places.items():
        if not any(folder.startswith(place) for folder in contents.folders):
            raise DataError(
                f"{store.root}/{place}: holds no class folders; expected one subfolder of images per class"
            )
        own = [entry for entry in pictures if entry.name.startswith(place)]
        names = _class_folders(place, own)
        label_of = cache(partial(_class_of, classes=names))
        for entry in own:
            label = label_of(entry.name[len(place) :].rpartition("/")[0])
            if label is None:
                ignored.append(Ignored(entry.name, "an image outside the class folders"))
            else:
                samples.append(Sample(entry, (label,), split))
        empty += _empty(place, contents.folders, names)
    if not samples:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{store.root}: holds no images in class folders ({suffixes})")
    known = {label for sample in samples for label in sample.labels}
    lacking = sorted({name for name in empty if name not in known})
    return make_manifest(store.root.resolve().stem, store, samples, ignored=ignored, empty=lacking)


def list_unlabeled(store: Storage, contents: Contents) -> Manifest:
    """List all images of a folder or an archive, without classes.

    Args:
        store: The storage.
        contents: Its listing.

    Raises:
        DataError: There are no images.
    """
    samples = [Sample(entry, ()) for entry in contents.entries if has_image_name(entry.name)]
    return make_manifest(store.root.resolve().stem, store, samples, multi_label=True)


def without_wrapping(contents: Contents, pictures: list[FileEntry]) -> tuple[str, list[str]]:
    """The prefix of the class or split folders, and their names.

    A single folder that holds only folders is skipped, as archives often have one.
    """
    prefix = ""
    while True:
        children = [f for f in contents.folders if f.startswith(prefix) and "/" not in f[len(prefix) :]]
        names = [folder[len(prefix) :] for folder in children]
        if len(names) != 1 or names[0].lower() in SPLIT_FOLDERS:
            return prefix, names
        inner = f"{prefix}{names[0]}/"
        deeper = any(f.startswith(inner) for f in contents.folders)
        if _holds(inner, pictures) or not deeper:
            return prefix, names
        prefix = inner


def _holds(folder: str, pictures: list[FileEntry]) -> bool:
    """Whether there are images in a folder itself, not only below it."""
    return any(e.name.startswith(folder) and "/" not in e.name[len(folder) :] for e in pictures)


def _class_folders(place: str, pictures: list[FileEntry]) -> set[str]:
    """The folders below `place` that hold images and are not inside another such folder."""
    holding = {entry.name[len(place) :].rpartition("/")[0] for entry in pictures} - {""}
    return {name for name in holding if not _parents(name) & holding}


def _parents(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:i]) for i in range(1, len(parts))}


def _class_of(folder: str, *, classes: set[str]) -> str | None:
    """The class of a folder or of one of its parents."""
    return next((name for name in (folder, *_parents(folder)) if name in classes), None)


def _empty(place: str, folders: tuple[str, ...], classes: set[str]) -> list[str]:
    """Folders without images, in them or below, that are not part of a class."""
    own = [folder[len(place) :] for folder in folders if folder.startswith(place)]
    leading = {parent for name in classes for parent in _parents(name)}
    lonely = [n for n in own if n not in classes and n not in leading and not (_parents(n) & classes)]
    return [name for name in lonely if not _parents(name) & set(lonely)]
