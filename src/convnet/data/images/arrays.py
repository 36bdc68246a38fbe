"""Images in arrays: which axis holds the channels."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convnet.errors import DataError

CHANNELS = (1, 3, 4)
Scalar = TypeVar("Scalar", bound=np.generic)


def channels_first(name: Path | str, images: NDArray[Scalar]) -> NDArray[Scalar]:
    """Images N×H×W, N×H×W×C or N×C×H×W as N×C×H×W.

    The axis of the channels is the one with 1, 3 or 4 places or, if neither has, one that is much shorter
    than the sides.

    Raises:
        DataError: Both fit, or neither.
    """
    if images.ndim == 3:
        return images[:, None]
    _, second, middle, last = images.shape
    usual = [axis for axis in (1, 3) if images.shape[axis] in CHANNELS]
    shorter = 1 if second < last else 3
    if not usual and 2 * images.shape[shorter] <= min(middle, max(second, last)):
        usual = [shorter]
    if len(usual) != 1:
        shape = "×".join(map(str, images.shape))
        raise DataError(
            f"{name}: the images have the shape {shape}, and it is not clear which axis holds the channels. "
            "Store them as N×H×W, or as N×H×W×C or N×C×H×W with 1, 3 or 4 channels"
        )
    return images if usual == [1] else images.transpose(0, 3, 1, 2)
