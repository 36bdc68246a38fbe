"""The files that a user names for prediction: files, folders, patterns, archives, tables of paths, arrays."""

from __future__ import annotations

import glob
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convnet.data.files.annotations import TABLE_FILES
from convnet.data.files.image_csv import list_paths
from convnet.data.files.recordings import is_recording
from convnet.data.files.shards import names_shards, shard_images
from convnet.data.files.storage import NOT_UTF8, is_archive, open_storage
from convnet.data.images.arrays import CHANNELS, channels_first
from convnet.data.images.decode import file_bytes
from convnet.data.images.formats import has_image_name
from convnet.data.images.pixels import Pixels
from convnet.errors import DataError

PATTERN = "*?["
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
"""The modes of PIL images that PNG stores with their transparency."""
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
        pixels: The pixels H×W×C of an image in memory, which is then not read; None for files.
        values: The numbers of rows or series in memory, which are then not read; None for files.
        in_memory: Whether its bytes were given, so that there is no path.
    """

    location: str
    read: Callable[[], bytes]
    pixels: Pixels | None = None
    values: NDArray[np.float32] | None = None
    in_memory: bool = False

    @property
    def path(self) -> Path:
        """Its path; of a member of an archive, below the archive."""
        return Path(self.location)


def input_files(
    inputs: Any, kind: Kind, channels: int | None = None, white: int | None = None
) -> list[InputFile]:
    """The files that `inputs` stand for.

    Args:
        inputs: A path, the bytes of a file, a PIL image, an array or tensor, or a sequence of these. A path
            may be a folder or a zip archive of images or recordings, a table of paths of images, or a
            pattern such as photos/*.jpg. Pixels are H×W, H×W×C, C×H×W, N×H×W×C, N×C×H×W or, for
            a network of gray images, N×H×W; integers, or floats 0…1. Rows of tables are F or N×F, series L,
            C×L or N×C×L.
        kind: Whether the files are images, recordings (.wav), or other tables or series.
        channels: The channels that the network takes.
        white: The value that is white in the images that the network was trained on; None for the largest of
            their type.

    Raises:
        DataError: A path or a pattern matches nothing.
    """
    if isinstance(inputs, str | bytes | bytearray | Path | Image.Image) or hasattr(inputs, "__array__"):
        inputs = [inputs]
    if not isinstance(inputs, Iterable):
        raise _not_an_input("input", type(inputs).__name__)
    found: list[InputFile] = []
    for i, item in enumerate(inputs):
        if isinstance(item, str | Path):
            shards = kind == "images" and names_shards(str(item)) and not Path(item).is_dir()
            found += _from_shards(str(item)) if shards else _expanded(Path(item), kind)
        elif isinstance(item, bytes | bytearray):
            name = f"image {i}" if kind == "images" else f"input {i}"
            found.append(InputFile(name, partial(_unchanged, bytes(item)), in_memory=True))
        elif kind != "images":
            found.append(_numbers(item, i))
        else:
            found += _pixels(item, i, channels, white)
    return found


def _from_shards(address: str) -> Iterator[InputFile]:
    store, names = shard_images(address)
    if not names:
        raise DataError(f"{address}: holds no images")
    for name in names:
        yield InputFile(name, partial(store.read, name))


def _expanded(path: Path, kind: Kind) -> Iterator[InputFile]:
    if not path.exists() and any(mark in str(path) for mark in PATTERN):
        for match in _matches(path, kind):
            yield from _expanded(match, kind)
    elif kind in MEMBERS and (path.is_dir() or is_archive(path)):
        store = open_storage(path)
        contents = store.contents()
        names = [entry.name for entry in contents.entries if MEMBERS[kind](entry.name)]
        lost = [file for file in contents.ignored if file.reason == NOT_UTF8]
        if not names and not lost:
            raise DataError(f"{path}: holds no {kind}")
        for name in names:
            yield InputFile(str(path / name), partial(store.read, name))
        for file in lost:
            yield InputFile(str(path / file.name), partial(_refuse, f"{path / file.name}: {file.reason}"))
    elif kind == "images" and path.suffix.lower() in TABLE_FILES:
        for named in list_paths(path):
            yield InputFile(str(named), partial(file_bytes, named))
    else:
        yield InputFile(str(path), partial(file_bytes, path))


def _unchanged(content: bytes) -> bytes:
    return content


def _refuse(reason: str) -> bytes:
    raise DataError(reason)


def _matches(pattern: Path, kind: Kind) -> list[Path]:
    """The files that a pattern matches or, if it matches only folders, the folders."""
    matches = sorted(map(Path, glob.glob(str(pattern), recursive=True)))  # noqa: PTH207 (any root)
    files = [match for match in matches if match.is_file()]
    if kind not in MEMBERS or any(MEMBERS[kind](file.name) for file in files):
        matches = files
    if not matches:
        raise DataError(f"{pattern}: matches no file")
    return matches


def _pixels(item: Any, place: int, channels: int | None, white: int | None) -> list[InputFile]:
    """Pixels in memory, as the files that they would be, so that they are preprocessed like files."""
    if isinstance(item, Image.Image):
        return [_as_file(f"image {place}", item)]
    name = f"input {place}"
    array = np.asarray(item.detach().cpu() if hasattr(item, "detach") else item)
    if array.ndim not in (2, 3, 4) or array.dtype == np.object_:
        shape = f" of shape {array.shape}" if array.ndim else ""
        raise _not_an_input(name, f"{type(item).__name__}{shape}")
    gray = channels == 1 and array.ndim == 3 and array.shape[-1] not in CHANNELS
    several = array if array.ndim == 4 or gray else array[None]
    stacked = channels_first(name, _stored(name, several, white))
    return [_array_file(f"image {place + i}", pixels) for i, pixels in enumerate(stacked)]


def _numbers(item: Any, place: int) -> InputFile:
    """Rows of a table or series in memory."""
    name = f"input {place}"
    array = np.asarray(item.detach().cpu() if hasattr(item, "detach") else item)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected a path or an array of numbers, got {type(item).__name__}")
    values = array.astype(np.float32)
    if values.ndim not in (1, 2, 3) or not values.size:
        raise DataError(f"{name}: expected an array of 1 to 3 dimensions, got the shape {values.shape}")
    return InputFile(name, partial(_refuse, f"{name}: has no bytes"), values=values)


def _not_an_input(name: str, found: str) -> DataError:
    return DataError(f"{name}: expected a path, a PIL image or an array H×W, H×W×C or N×H×W×C, got {found}")


def _stored(name: str, images: np.ndarray, white: int | None) -> np.ndarray:
    """Integers as files store them: with 8 bits if that is enough."""
    if images.dtype.kind not in "iu" or (images.dtype == np.uint8 and white is None):
        return images
    low, high = int(images.min(initial=0)), int(images.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(f"{name}: holds integers from {low} to {high}; expected 0 to 255 or to 65535")
    return images.astype(np.uint8 if high <= 255 and white is None else np.uint16)


def _array_file(location: str, pixels: np.ndarray) -> InputFile:
    channels_last = pixels.transpose(1, 2, 0)

    def read() -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, channels_last)
        return buffer.getvalue()

    return InputFile(location, read, channels_last if pixels.dtype == np.uint8 else None)


def _as_file(location: str, image: Image.Image) -> InputFile:
    buffer = io.BytesIO()
    upright = ImageOps.exif_transpose(image)
    upright.save(buffer, "PNG" if image.mode in PNG_MODES else "TIFF")
    return InputFile(location, buffer.getvalue)
