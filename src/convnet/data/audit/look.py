"""What a data set of image files looks like, from a few of them: size and color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet.data.audit.records import Memory
from convnet.data.audit.scan import Scan, scan
from convnet.data.files.manifest import Manifest

FEW = 32
"""The number of files that are decoded."""
SATURATION = 6.0
"""The mean difference between the largest and the smallest channel of a color image, at least, of 255."""
PHOTO_SIDE = 64
"""The smallest median of the shorter side of photos, in pixels."""


@dataclass(frozen=True)
class Look:
    """What most images of a data set look like.

    Attributes:
        width: The median width in pixels.
        height: The median height in pixels.
        side: The median of the shorter side in pixels.
        color: Whether most have colors.
    """

    width: int
    height: int
    side: int
    color: bool

    @property
    def photos(self) -> bool:
        """Whether they are large enough and have colors, as photos do."""
        return self.color and self.side >= PHOTO_SIDE


def look_at(listed: Manifest) -> Look | None:
    """Decode some images, spread over the data set; None if none of them can be read."""
    some = range(0, len(listed), -(-len(listed) // FEW))
    return look_of(scan(listed, only=some, memory=Memory(listed)))


def look_of(found: Scan) -> Look | None:
    """What scanned images look like; None if none of them could be decoded."""
    records = found.records[found.decoded]
    if not len(records):
        return None
    thumbs = records["thumb"].astype(np.float32)
    colorful = np.ptp(thumbs, axis=-1).mean((1, 2)) >= SATURATION
    color = bool((colorful & (records["channels"] >= 3)).mean() >= 0.5)
    width, height = records["width"].astype(int), records["height"].astype(int)
    side = np.minimum(width, height)
    return Look(int(np.median(width)), int(np.median(height)), int(np.median(side)), color)
