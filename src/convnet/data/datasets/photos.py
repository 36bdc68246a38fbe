"""Image files on this machine: what they look like, and how they are opened without classes."""

from __future__ import annotations

from convnet.data.audit.look import Look, look_at
from convnet.data.datasets.dataset import Dataset
from convnet.data.datasets.identify import DataSpec, identify
from convnet.data.datasets.open import list_spec, open_spec
from convnet.data.datasets.open_images import open_images
from convnet.data.datasets.options import Data
from convnet.data.files.image_folder import list_unlabeled
from convnet.data.files.storage import open_storage
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.types import ImageShape

FILES = ("image folder", "archive", "image table", "coco")
"""Formats of image files with classes, on this machine."""


def look_at_spec(spec: DataSpec, label: str | None = None, *, multi_label: bool = False) -> Look | None:
    """What the images of a folder, an archive, a table of paths or COCO annotations look like.

    Args:
        spec: The data.
        label: The label column of a table.
        multi_label: Whether an image may have several labels.

    Returns:
        Size and color; None for data of another kind.

    Raises:
        DataError: The data cannot be listed.
    """
    if spec.kind not in FILES:
        return None
    return look_at(list_spec(spec, label, multi_label=multi_label))


def open_searchable(source: str, preprocess: Preprocess, shape: ImageShape) -> Dataset:
    """Open images with their classes or, if a folder or an archive has none, without.

    Args:
        source: A name, a path or a URL.
        preprocess: The preparation of images.
        shape: The shape of images that a network takes.

    Raises:
        DataError: The data holds no readable images.
    """
    spec = identify(source)
    if spec.modality != "images":
        raise DataError(f"{source}: holds no images")
    if spec.kind not in ("image folder", "archive"):
        return open_spec(spec, Data(source=source), preprocess, spec.annotation(), shape)
    try:
        listed = list_spec(spec)
    except DataError:
        store = open_storage(spec.file)
        listed = list_unlabeled(store, spec.contents or store.contents())
    return open_images(listed, source, preprocess, shape)
