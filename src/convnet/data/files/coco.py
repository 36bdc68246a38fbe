"""COCO annotations: a .json file of images, categories and annotations."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from convnet.data.files.manifest import Manifest, Sample, make_manifest
from convnet.data.files.storage import open_storage
from convnet.errors import DataError

FOLDERS = ("", "images", "..", "../images")
"""Where images are searched for, relative to the annotations; also in a subfolder named after the split."""


def is_coco(path: Path) -> bool:
    """Whether the path is a .json file."""
    return path.suffix.lower() == ".json" and path.is_file()


def list_coco(path: Path, *, multi_label: bool) -> Manifest:
    """List the images of a COCO file with the categories of their annotations.

    Args:
        path: The .json file.
        multi_label: Whether an image may have several categories.

    Raises:
        DataError: The file is not COCO, images are missing, or an image has several categories without
            `multi_label`.
    """
    document = _read(path)
    names = {category["id"]: str(category["name"]) for category in document["categories"]}
    shown: dict[Any, set[str]] = defaultdict(set)
    known = {image["id"] for image in document["images"]}
    for number, annotation in enumerate(document["annotations"]):
        if annotation["image_id"] not in known:
            raise DataError(f"{path}: annotations[{number}] has the unknown image {annotation['image_id']}")
        if annotation["category_id"] not in names:
            raise DataError(
                f"{path}: annotations[{number}] has the unknown category {annotation['category_id']}"
            )
        shown[annotation["image_id"]].add(names[annotation["category_id"]])
    files = [(str(image["file_name"]), tuple(sorted(shown[image["id"]]))) for image in document["images"]]
    if not files:
        raise DataError(f"{path}: names no images")
    if not multi_label:
        odd = next(((name, labels) for name, labels in files if len(labels) != 1), None)
        if odd is not None:
            raise DataError(
                f"{path}: {odd[0]} has {len(odd[1])} categories ({', '.join(odd[1]) or 'none'}), not one; "
                "use --task multi-label"
            )
    storage = open_storage(_root(path, files[0][0]))
    samples = [Sample(storage.entry(name), labels) for name, labels in files]
    return make_manifest(path.stem, storage, samples, multi_label=multi_label)


PARTS = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id"),
}


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    for part, keys in PARTS.items():
        items = document.get(part) if isinstance(document, dict) else None
        if not isinstance(items, list):
            raise DataError(f"{path}: not COCO annotations: there is no list '{part}'")
        for number, item in enumerate(items):
            lacking = [key for key in keys if not isinstance(item, dict) or key not in item]
            if lacking:
                raise DataError(f"{path}: not COCO annotations: {part}[{number}] has no '{lacking[0]}'")
    return dict(document)


def _root(path: Path, first: str) -> Path:
    """The folder that holds the first image."""
    split = path.stem.rpartition("_")[2]
    for place in FOLDERS:
        for folder in (path.parent / place, path.parent / place / split):
            if (folder / first).is_file():
                return folder
    raise DataError(f"{path}: images are missing; {first} is neither next to the file nor in images/")
