"""A name or a path, opened as a source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from convnet.data.catalog import DATASETS, named_set
from convnet.data.folder import open_folder
from convnet.data.preprocess import Preprocess, ResizePolicy, fit_image, require_room
from convnet.data.source import MemorySource
from convnet.errors import DataError, UnknownNameError
from convnet.schema import nearest
from convnet.types import ImageShape


def as_path(word: str) -> Path:
    """A user's word as a path that can be asked whether it exists.

    Raises:
        DataError: it is no possible path (an unknown user's home, too long, …).
    """
    try:
        path = Path(word).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"'{word[:80]}': no possible path: {error}") from None
    return path


def open_data(
    name: str,
    preprocess: Preprocess | None = None,
    *,
    data_dir: Path | None = None,
    skip_unreadable: bool = False,
    shape: ImageShape | None = None,
) -> MemorySource:
    """Open a named set ("digits", "mnist", …) or a folder of images; `shape` overrides the preprocessing's.

    Raises:
        UnknownNameError: it is neither.
        DataError: its files are damaged, missing, or not to be had.
    """
    preprocess = preprocess or Preprocess()
    if name in DATASETS:
        source = named_set(name, data_dir)
        return _adapt(source, shape or _wanted_shape(source, preprocess), preprocess.resize)
    path = as_path(name)
    if path.is_dir():
        return open_folder(path, preprocess, skip_unreadable=skip_unreadable, shape=shape)
    if path.exists():
        raise DataError(f"{path}: a file; data is a folder with one subfolder of images per class")
    if "/" in name or path.suffix:
        raise DataError(f"{path}: no such folder; --set data.source=FOLDER names another")
    raise UnknownNameError(
        f"'{name}' is neither a data set nor a folder{nearest(name, DATASETS)}; "
        "--set data.source=FOLDER names another"
    )


def _wanted_shape(source: MemorySource, preprocess: Preprocess) -> ImageShape:
    channels, height, width = source.shape
    side = preprocess.image_size
    return ImageShape(preprocess.channels or channels, side or height, side or width)


def _adapt(source: MemorySource, shape: ImageShape, resize: ResizePolicy) -> MemorySource:
    """Resize and convert a named set where another size or other channels are asked for."""
    if shape == source.shape:
        return source
    require_room(source.name, len(source), shape)
    images = np.empty((len(source), *shape), np.uint8)
    for i, pixels in enumerate(source.images.numpy()):
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        picture = picture.convert("L" if shape.channels == 1 else "RGB")
        fitted = np.asarray(fit_image(picture, (shape.height, shape.width), resize))
        images[i] = fitted.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)
    return replace(source, images=torch.from_numpy(images))
