"""Images in memory, resized and converted to what is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from convnet.data.images.fit import ResizePolicy, fit
from convnet.data.images.picture import DecodeError, to_channels
from convnet.data.memory_source import MemorySource
from convnet.data.preprocess import Preprocess, require_room
from convnet.errors import DataError
from convnet.types import ImageShape


def fitted(
    source: MemorySource, preprocess: Preprocess, shape: ImageShape | None, channels: ImageShape | None
) -> MemorySource:
    """The images in the `shape` of a trained network, else as the preprocessing wants them."""
    own, side = source.shape, preprocess.image_size
    wanted = ImageShape(preprocess.channels or own.channels, side or own.height, side or own.width)
    if channels is not None:
        wanted = wanted._replace(channels=channels.channels)
    return _adapt(source, shape or wanted, preprocess.resize)


def _adapt(source: MemorySource, shape: ImageShape, resize: ResizePolicy) -> MemorySource:
    """Resize and convert images in memory where another size or other channels are asked for."""
    if shape == source.shape:
        return source
    if source.target == "mask":
        raise DataError(f"{source.name}: its images and masks are used as they are, {source.shape}")
    if source.sizes is not None and shape[1:] == source.shape[1:]:
        raise DataError(f"{source.name}: preprocess.channels does not apply without preprocess.image_size")
    require_room(source.name, len(source), shape)
    images = np.empty((len(source), *shape), np.uint8)
    for i in range(len(source)):
        whole = source.images[i] if source.sizes is None else source.one(i).images[0]
        pixels = fit(whole.permute(1, 2, 0).numpy(), (shape.height, shape.width), resize)
        try:
            images[i] = to_channels(pixels, shape.channels).transpose(2, 0, 1)
        except DecodeError as error:
            raise DataError(f"{source.describe(i)}: {error.reason}") from error
    return replace(source, images=torch.from_numpy(images), sizes=None)
