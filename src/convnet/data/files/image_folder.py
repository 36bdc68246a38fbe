"""A folder per class, or train/ val/ test/ of those; in a folder or in a zip archive."""

from __future__ import annotations

from functools import cache, partial

from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, Sample, make_manifest
from convnet.data.files.storage import Contents, FileEntry, Ignored, Storage
from convnet.data.images.formats import IMAGE_SUFFIXES, has_image_name
from convnet.errors import DataError
from convnet.types import SplitName


def list_folder(store: Storage, contents: Contents) -> Manifest:
    """The images below a store's folders, each with the class that its folder names.

    A folder that holds images is a class, with everything below it. One that holds only folders is part of
    the names of the classes in it: animals/cat. A single folder that wraps everything is looked through.

    Raises:
        DataError: naming the folder that is missing, or what was expected.
    """
    pictures: list[FileEntry] = []
    ignored = list(contents.ignored)
    for entry in contents.entries:
        if has_image_name(entry.name):
            pictures.append(entry)
        else:
            ignored.append(Ignored(entry.name, "not an image by its name"))
    root, folders = _wrapping(contents, pictures)
    splits = {f: SPLIT_FOLDERS[f.lower()] for f in folders if f.lower() in SPLIT_FOLDERS}
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
                ignored.append(Ignored(entry.name, "an image beside the class folders"))
            else:
                samples.append(Sample(entry, (label,), split))
        empty += _empty(place, contents.folders, names)
    if not samples:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{store.root}: holds no images in class folders ({suffixes})")
    known = {label for sample in samples for label in sample.labels}
    lacking = sorted({name for name in empty if name not in known})
    return make_manifest(store.root.resolve().stem, store, samples, ignored=ignored, empty=lacking)


def _wrapping(contents: Contents, pictures: list[FileEntry]) -> tuple[str, list[str]]:
    """The prefix below which the class or split folders are, and their names.

    One folder that holds nothing but folders is taken for a wrapping, as archives have it.
    """
    prefix = ""
    while True:
        children = [f for f in contents.folders if f.startswith(prefix) and "/" not in f[len(prefix) :]]
        names = [folder[len(prefix) :] for folder in children]
        if len(names) != 1 or names[0].lower() in SPLIT_FOLDERS:
            return prefix, names
        inner = f"{prefix}{names[0]}/"
        directly = any(e.name.startswith(inner) and "/" not in e.name[len(inner) :] for e in pictures)
        deeper = any(f.startswith(inner) for f in contents.folders)
        if directly or not deeper:
            return prefix, names
        prefix = inner


def _class_folders(place: str, pictures: list[FileEntry]) -> set[str]:
    """The folders below `place` that hold images themselves, and lie in no other that does."""
    holding = {entry.name[len(place) :].rpartition("/")[0] for entry in pictures} - {""}
    return {name for name in holding if not _parents(name) & holding}


def _parents(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:i]) for i in range(1, len(parts))}


def _class_of(folder: str, *, classes: set[str]) -> str | None:
    """The class that a folder is, or lies in."""
    return next((name for name in (folder, *_parents(folder)) if name in classes), None)


def _empty(place: str, folders: tuple[str, ...], classes: set[str]) -> list[str]:
    """Folders without an image in them or below, that are no part of a class."""
    own = [folder[len(place) :] for folder in folders if folder.startswith(place)]
    leading = {parent for name in classes for parent in _parents(name)}
    lonely = [n for n in own if n not in classes and n not in leading and not (_parents(n) & classes)]
    return [name for name in lonely if not _parents(name) & set(lonely)]
