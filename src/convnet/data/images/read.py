"""Image files as networks take them: decoded, resized and converted to the channels of the network."""

from __future__ import annotations

from pathlib import Path

from convnet.data.images.decode import decode, file_bytes
from convnet.data.images.pixels import DecodeError, Pixels, to_channels
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.types import ImageShape


def read_image(content: bytes, shape: ImageShape, preprocess: Preprocess) -> Pixels:
    """Decode and resize the content of an image file, H×W×C.

    Raises:
        DecodeError: The content is not a readable image.
    """
    size = (shape.height, shape.width)
    picture = decode(
        content,
        channels=shape.channels,
        background=preprocess.background,
        allow_truncated=preprocess.allow_truncated,
        at_least=preprocess.resizing.needed(size),
        white=preprocess.white,
    )
    return to_channels(resize(picture.pixels, size, preprocess.resizing), shape.channels)


def read_named_image(location: str, content: bytes, shape: ImageShape, preprocess: Preprocess) -> Pixels:
    """Decode and resize the content of an image file, C×H×W.

    Raises:
        DataError: It is not a readable image; the message names the location.
    """
    try:
        return read_image(content, shape, preprocess).transpose(2, 0, 1)
    except DecodeError as error:
        raise DataError(f"{location}: not a readable image: {error.reason}") from error


def read_image_file(path: Path, shape: ImageShape, preprocess: Preprocess) -> Pixels:
    """Decode and resize an image file, C×H×W.

    Raises:
        DataError: The file is missing or not a readable image.
    """
    return read_named_image(str(path), file_bytes(path), shape, preprocess)
