"""CIFAR-10 and CIFAR-100: binary batches, python batches, and the tar.gz of either (Krizhevsky 2009)."""

from __future__ import annotations

import itertools
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from convnet.data.datasets.named.unpickle import restricted_loads
from convnet.errors import DataError
from convnet.types import SplitName

PIXELS = 3 * 32 * 32

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Part = tuple[SplitName, str, Arrays]
Reader = Callable[[str], bytes]
Files = dict[SplitName, tuple[str, ...]]


@dataclass(frozen=True)
class CifarLayout:
    """The files of CIFAR-10 or CIFAR-100, and the position of the label in them."""

    archives: tuple[str, str]
    subfolders: tuple[str, str]
    binary: Files
    python: Files
    label_bytes: int
    label_key: bytes
    num_classes: int


Parser = Callable[[bytes, CifarLayout, str], Arrays]

CIFAR10 = CifarLayout(
    archives=("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),
    subfolders=("cifar-10-batches-bin", "cifar-10-batches-py"),
    binary={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    python={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    label_bytes=1,
    label_key=b"labels",
    num_classes=10,
)
CIFAR100 = CifarLayout(
    archives=("cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"),
    subfolders=("cifar-100-binary", "cifar-100-python"),
    binary={"train": ("train.bin",), "test": ("test.bin",)},
    python={"train": ("train",), "test": ("test",)},
    label_bytes=2,  # the coarse label, then the fine one, which is the target
    label_key=b"fine_labels",
    num_classes=100,
)


def parse_binary(raw: bytes, layout: CifarLayout, name: str) -> Arrays:
    """Records of one or two label bytes and 3,072 pixel bytes → images N×3×32×32, labels N.

    Raises:
        DataError: The content is not a whole number of records, or a label is out of range.
    """
    record = layout.label_bytes + PIXELS
    if not raw or len(raw) % record:
        raise DataError(
            f"{name}: truncated or not a CIFAR batch: {len(raw):,} bytes is not a multiple of {record:,}"
        )
    rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
    return _checked(rows[:, layout.label_bytes :], rows[:, layout.label_bytes - 1], layout, name)


def parse_python(raw: bytes, layout: CifarLayout, name: str) -> Arrays:
    """A pickled batch (`data`: N×3072 bytes, labels: a list) → images N×3×32×32, labels N.

    Raises:
        DataError: The pickle is damaged, would run code, or holds something else.
    """
    content = restricted_loads(raw, name)
    if not isinstance(content, dict):
        raise DataError(f"{name}: not a CIFAR batch: it holds {type(content).__name__}, not a dictionary")
    data, labels = (content.get(key, content.get(key.decode())) for key in (b"data", layout.label_key))
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != PIXELS
    ):
        raise DataError(f"{name}: 'data' is not an array of N×3072 bytes")
    if not isinstance(labels, list) or not all(isinstance(x, int) and 0 <= x < 256 for x in labels):
        raise DataError(f"{name}: '{layout.label_key.decode()}' is not a list of class numbers")
    return _checked(data, np.array(labels, np.uint8), layout, name)


def find_cifar(folder: Path, layout: CifarLayout) -> Callable[[], list[Part]] | None:
    """A function that reads the data set in `folder`; None if it is not there.

    Binary batches, Python batches (in the folder or its usual subfolder) and the archives of both are tried
    in turn. Reading returns (split, file name, (images, labels)) for each batch and raises DataError if a
    file is damaged.
    """
    forms = ((layout.binary, parse_binary), (layout.python, parse_python))
    for (files, parse), subfolder in itertools.product(forms, ("", *layout.subfolders)):
        place = folder / subfolder
        if all((place / name).is_file() for names in files.values() for name in names):
            return partial(_read_batches, files, parse, layout, place, partial(_read, place))
    for archive, (files, parse) in zip(layout.archives, forms, strict=True):
        place = folder / archive
        if place.is_file():
            return partial(_read_archive, files, parse, layout, place)
    return None


def _read_batches(files: Files, parse: Parser, layout: CifarLayout, place: Path, read: Reader) -> list[Part]:
    return [
        (split, name, parse(read(name), layout, str(place / name)))
        for split, names in files.items()
        for name in names
    ]


def _read_archive(files: Files, parse: Parser, layout: CifarLayout, path: Path) -> list[Part]:
    with _archive_members(path) as read:
        return _read_batches(files, parse, layout, path, read)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(f"{folder / name}: cannot be read: {error.strerror}") from error


@contextmanager
def _archive_members(path: Path) -> Iterator[Reader]:
    """A reader of the archive's members by base name; nothing is unpacked to disk."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            content = {
                PurePosixPath(member.name).name: file.read()
                for member in archive
                if member.isfile() and (file := archive.extractfile(member)) is not None
            }
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; get the file again") from error

    def read(name: str) -> bytes:
        if name not in content:
            raise DataError(f"{path}: holds no {name}; get the file again")
        return content[name]

    yield read


def _checked(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], layout: CifarLayout, name: str) -> Arrays:
    if len(pixels) != len(labels):
        raise DataError(f"{name}: {len(pixels):,} images but {len(labels):,} labels")
    if len(labels) and labels.max() >= layout.num_classes:
        raise DataError(f"{name}: label {labels.max()} in a set of {layout.num_classes} classes")
    return pixels.reshape(-1, 3, 32, 32).copy(), labels.copy()
