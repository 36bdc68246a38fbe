"""The IDX format of MNIST and its relatives, gzipped or not (LeCun 1998)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convnet.errors import DataError

MAX_DIMENSIONS = 8
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> NDArray[np.generic]:
    """Read an IDX file: two zero bytes, a type code, the number of dimensions, each dimension as a
    big-endian 32-bit number, then the values in row-major order.

    Raises:
        DataError: The file cannot be read, is not IDX, is truncated, or has trailing bytes.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; get the file again") from error
    return parse_idx(raw, str(path))


def parse_idx(raw: bytes, name: str) -> NDArray[np.generic]:
    """Parse the content of an IDX file; `name` is used in messages.

    Raises:
        DataError: The content is not exactly one IDX array.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise DataError(f"{name}: not an IDX file: it starts with {raw[:4].hex(' ') or 'nothing'}")
    dtype, dimensions = np.dtype(_TYPES[raw[2]]), raw[3]
    header = 4 + 4 * dimensions
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(f"{name}: not an IDX file: {dimensions} dimensions")
    if len(raw) < header:
        raise DataError(f"{name}: truncated: the header of {dimensions} dimensions is incomplete")
    shape = tuple(int(side) for side in np.frombuffer(raw, ">u4", dimensions, offset=4))
    expected = header + math.prod(shape) * dtype.itemsize
    if len(raw) < expected:
        raise DataError(f"{name}: truncated: {shape} needs {expected:,} bytes, the file has {len(raw):,}")
    if len(raw) > expected:
        raise DataError(f"{name}: {len(raw) - expected:,} bytes too many after the {shape} array")
    try:
        values = np.frombuffer(raw, dtype, math.prod(shape), offset=header).reshape(shape)
    except ValueError as error:  # the product of dimensions overflows although one of them is 0
        raise DataError(f"{name}: not an IDX file: {shape}: {error}") from None
    return values.astype(dtype.newbyteorder("="))


def read_idx_images(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a pair of IDX files: images uint8 N×1×H×W and labels uint8 N.

    Raises:
        DataError: A file is damaged, or the files do not hold images and as many labels.
    """
    pixels, targets = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise DataError(f"{images}: expected N×H×W bytes, found {pixels.dtype} {pixels.shape}")
    if targets.ndim != 1 or targets.dtype != np.uint8:
        raise DataError(f"{labels}: expected N bytes, found {targets.dtype} {targets.shape}")
    if len(pixels) != len(targets):
        raise DataError(f"{images} holds {len(pixels):,} images, {labels} {len(targets):,} labels")
    return pixels[:, None].astype(np.uint8), targets.astype(np.uint8)
