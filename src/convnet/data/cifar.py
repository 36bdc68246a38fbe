"""CIFAR-10 and CIFAR-100: binary batches, python batches, and the tar.gz of either (Krizhevsky 2009)."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.unpickle import restricted_loads
from convnet.errors import DataError

PIXELS = 3 * 32 * 32

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Reader = Callable[[str], bytes]


@dataclass(frozen=True)
class CifarLayout:
    """The files of one of the two sets, and where the label stands in them."""

    archives: tuple[str, str]
    binary: dict[str, tuple[str, ...]]
    python: dict[str, tuple[str, ...]]
    label_bytes: int
    label_key: bytes
    num_classes: int


CIFAR10 = CifarLayout(
    archives=("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),
    binary={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    python={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    label_bytes=1,
    label_key=b"labels",
    num_classes=10,
)
CIFAR100 = CifarLayout(
    archives=("cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"),
    binary={"train": ("train.bin",), "test": ("test.bin",)},
    python={"train": ("train",), "test": ("test",)},
    label_bytes=2,  # the coarse label, then the fine one, which is the target
    label_key=b"fine_labels",
    num_classes=100,
)


def parse_binary(raw: bytes, layout: CifarLayout, name: str) -> Arrays:
    """Records of one or two label bytes and 3,072 pixel bytes → N×3×32×32 images, N labels.

    Raises:
        DataError: no whole number of records, or a label that no class has.
    """
    record = layout.label_bytes + PIXELS
    if not raw or len(raw) % record:
        raise DataError(f"{name}: truncated or not a CIFAR batch: {len(raw):,} bytes are no multiple of {record:,}")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
    return _checked(rows[:, layout.label_bytes :], rows[:, layout.label_bytes - 1], layout, name)


def parse_python(raw: bytes, layout: CifarLayout, name: str) -> Arrays:
    """A pickled batch (`data`: N×3072 bytes, labels: a list) → N×3×32×32 images, N labels.

    Raises:
        DataError: the pickle is damaged, would run code, or holds something else.
    """
    content = restricted_loads(raw, name)
    if not isinstance(content, dict):
        raise DataError(f"{name}: not a CIFAR batch: it holds {type(content).__name__}, not a dictionary")
    data, labels = _entry(content, b"data"), _entry(content, layout.label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS:
        raise DataError(f"{name}: 'data' is not an array of N×3072 bytes")
    numbers = all(isinstance(x, int) and 0 <= x < layout.num_classes for x in labels) if isinstance(labels, list) else False
    if not numbers:
        raise DataError(f"{name}: '{layout.label_key.decode()}' is not a list of class numbers")
    return _checked(data, np.array(labels, np.uint8), layout, name)


def find_cifar(folder: Path, layout: CifarLayout) -> dict[str, list[tuple[str, Arrays]]] | None:
    """The batches of a set in `folder`, by split, from whichever of its forms lies there; None if none does.

    Tried in turn, in the folder and in its usual subfolder: binary batches, python batches, then the
    archive of either.

    Raises:
        DataError: a file is there but damaged.
    """
    for stem in (folder, folder / "cifar-10-batches-bin", folder / "cifar-100-binary", folder / "cifar-10-batches-py", folder / "cifar-100-python"):
        for files, parse in ((layout.binary, parse_binary), (layout.python, parse_python)):
            if all((stem / name).is_file() for names in files.values() for name in names):
                return _read_all(files, parse, layout, lambda name, stem=stem: (stem / name).read_bytes(), str(stem))  # type: ignore[misc]
    for archive, files, parse in zip(layout.archives, (layout.binary, layout.python), (parse_binary, parse_python), strict=True):
        path = folder / archive
        if path.is_file():
            with _archive_members(path) as read:
                return _read_all(files, parse, layout, read, str(path))
    return None


def _read_all(
    files: dict[str, tuple[str, ...]],
    parse: Callable[[bytes, CifarLayout, str], Arrays],
    layout: CifarLayout,
    read: Reader,
    place: str,
) -> dict[str, list[tuple[str, Arrays]]]:
    return {
        split: [(name, parse(read(name), layout, f"{place}/{name}")) for name in names]
        for split, names in files.items()
    }


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


def _entry(content: dict[Any, Any], key: bytes) -> Any:
    return content.get(key, content.get(key.decode()))


def _checked(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], layout: CifarLayout, name: str) -> Arrays:
    if len(pixels) != len(labels):
        raise DataError(f"{name}: {len(pixels):,} images but {len(labels):,} labels")
    if len(labels) and labels.max() >= layout.num_classes:
        raise DataError(f"{name}: label {labels.max()} in a set of {layout.num_classes} classes")
    return pixels.reshape(-1, 3, 32, 32).copy(), labels.copy()
