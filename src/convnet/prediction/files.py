"""The files that a user names for prediction: files, folders, patterns, archives, tables of paths, arrays."""

from __future__ import annotations

import glob
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from convnet.data.datasets.npz import images_from_array
from convnet.data.files.annotations import is_image_table
from convnet.data.files.image_csv import list_paths
from convnet.data.files.recordings import is_recording
from convnet.data.files.storage import is_archive, open_storage
from convnet.data.images.decode import file_bytes
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError

PATTERN = "*?["
Kind = Literal["images", "recordings", "other"]
MEMBERS: dict[Kind, Callable[[str], bool]] = {
    "images": has_image_name,
    "recordings": is_recording,
}
"""Which files of a folder are meant, by kind."""


@dataclass(frozen=True)
class InputFile:
    """A file to predict.

    Attributes:
        location: Its path, for messages and results.
        read: Reads its bytes.
    """

    location: str
    read: Callable[[], bytes]

    @property
    def path(self) -> Path:
        """Its path; of a member of an archive, below the archive."""
        return Path(self.location)


def input_files(inputs: Any, kind: Kind) -> list[InputFile]:
    """The files that `inputs` stand for.

    Args:
        inputs: A path, a PIL image or an array of pixels (H×W, H×W×C, or N×H×W×C; uint8, or floats 0…1), or a
            sequence of these. A path may be a folder or a zip archive of images or recordings, or a table of
            paths of images, or a pattern such as photos/*.jpg.
        kind: Whether the files are images, recordings (.wav), or other tables or series.

    Raises:
        DataError: A path or a pattern matches nothing.
    """
    if isinstance(inputs, str | Path | Image.Image | np.ndarray):
        inputs = [inputs]
    found: list[InputFile] = []
    for i, item in enumerate(inputs):
        if isinstance(item, str | Path):
            found += _expanded(Path(item), kind)
        else:
            found += _pixels(item, i)
    return found


def _expanded(path: Path, kind: Kind) -> Iterator[InputFile]:
    if not path.exists() and any(mark in str(path) for mark in PATTERN):
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (any root)
        if not matches:
            raise DataError(f"{path}: matches no file")
        for match in matches:
            if match.is_file():
                yield from _expanded(match, kind)
    elif kind in MEMBERS and (path.is_dir() or is_archive(path)):
        store = open_storage(path)
        names = [entry.name for entry in store.contents().entries if MEMBERS[kind](entry.name)]
        if not names:
            raise DataError(f"{path}: holds no {kind}")
        for name in names:
            yield InputFile(str(path / name), partial(store.read, name))
    elif kind == "images" and is_image_table(path):
        for named in list_paths(path):
            yield InputFile(str(named), partial(file_bytes, named))
    else:
        yield InputFile(str(path), partial(file_bytes, path))


def _pixels(item: Any, place: int) -> list[InputFile]:
    """Pixels in memory, as the files that they would be, so that they are preprocessed like files."""
    if isinstance(item, Image.Image):
        return [_as_file(f"image {place}", item)]
    array = np.asarray(item)
    if array.ndim not in (2, 3, 4) or array.dtype == np.object_:
        raise DataError(
            f"input {place}: expected a path, a PIL image or an array H×W, H×W×C or N×H×W×C, "
            f"got {type(item).__name__}" + (f" of shape {array.shape}" if array.ndim else "")
        )
    several = array if array.ndim == 4 else array[None]
    stacked = images_from_array(f"input {place}", several)
    return [_array_file(f"image {place + i}", pixels) for i, pixels in enumerate(stacked)]


def _array_file(location: str, pixels: np.ndarray) -> InputFile:
    buffer = io.BytesIO()
    np.save(buffer, pixels.transpose(1, 2, 0))
    return InputFile(location, buffer.getvalue)


def _as_file(location: str, image: Image.Image) -> InputFile:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    return InputFile(location, buffer.getvalue)
