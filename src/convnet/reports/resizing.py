"""The three ways to make a picture fit, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from matplotlib.figure import Figure

from convnet.data import FileSource
from convnet.data.images.decode import decode
from convnet.data.images.fit import ResizePolicy, fit
from convnet.data.images.picture import DecodeError
from convnet.errors import DataError
from convnet.reports.grids import Image, image_grid
from convnet.tasks import as_picture


def resized(source: FileSource, indices: Sequence[int]) -> list[tuple[ResizePolicy, list[Image]]]:
    """The same files by each policy, in the size that the network takes; none if one cannot be read."""
    columns: list[tuple[ResizePolicy, list[Image]]] = [(policy, []) for policy in get_args(ResizePolicy)]
    size = (source.shape.height, source.shape.width)
    listing, preprocess = source.files.listing, source.files.preprocess
    for index in indices:
        name = listing.samples[int(source.rows[index])].entry.name
        try:
            content = listing.store.read(name)
            picture = decode(
                content,
                channels=source.shape.channels,
                background=preprocess.background,
                allow_truncated=True,
                at_least=size,
            )
        except (DecodeError, DataError):
            return []
        for policy, pictures in columns:
            pixels = torch.from_numpy(fit(picture.pixels, size, policy))
            pictures.append(as_picture(pixels.permute(2, 0, 1)))
    return columns


def resized_figure(columns: Sequence[tuple[ResizePolicy, list[Image]]], used: ResizePolicy) -> Figure:
    """A few training images by each resize policy; the one that was used is named."""
    images = [picture for _, pictures in columns for picture in pictures]
    captions = [""] * len(images)
    for row, (policy, pictures) in enumerate(columns):
        captions[row * len(pictures)] = f"{policy}, used here" if policy == used else policy
    return image_grid(images, captions, len(columns[0][1]), "Resize policies (preprocess.resize)")
