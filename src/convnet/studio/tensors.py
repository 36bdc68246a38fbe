"""Tensors as bytes for the page: a JSON header, then the values as float32."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_MAPS = 128
"""The largest number of maps of a layer, or of kernels, that are sent at once."""
LONGEST_VECTOR = 4096
MATRIX = (256, 1024)
"""The largest part of the matrix of a dense layer that is sent."""


@dataclass(frozen=True)
class Picture:
    """A tensor to draw.

    Attributes:
        layer: The name of the layer.
        kind: "activation", "activation-gradient", "weight" or "weight-gradient".
        values: Without the batch axis.
    """

    layer: str
    kind: str
    values: Tensor


def pack_pictures(facts: dict[str, Any], pictures: Sequence[Picture], *, whole: bool = False) -> bytes:
    """Several tensors and what belongs to them as one binary message.

    Args:
        facts: Further entries of the header.
        pictures: The tensors.
        whole: Whether to send all maps, instead of the first `MOST_MAPS`.

    Returns:
        The length of the header (uint32), the header (JSON, padded to a multiple of 4), float32 values. Of a
        tensor the header has layer, kind, shape, the shape that is sent, smallest and largest value of the
        whole tensor, and the position of its values, counted in numbers.
    """
    listed, chunks, place = [], [], 0
    for picture in pictures:
        values = picture.values.detach().float().cpu()
        sent = (values if whole else first_part(values)).contiguous()
        low, high = (float(end) for end in torch.aminmax(values)) if values.numel() else (0.0, 0.0)
        listed.append(
            {
                "layer": picture.layer,
                "kind": picture.kind,
                "shape": list(values.shape),
                "sent": list(sent.shape),
                "min": low if math.isfinite(low) else None,
                "max": high if math.isfinite(high) else None,
                "start": place,
            }
        )
        chunks.append(sent.numpy().astype("<f4", copy=False).tobytes())
        place += sent.numel()
    header = json.dumps({**facts, "tensors": listed}, ensure_ascii=False, allow_nan=False).encode()
    header += b" " * (-len(header) % 4)
    return b"".join([struct.pack("<I", len(header)), header, *chunks])


def first_part(values: Tensor) -> Tensor:
    """What is sent of a tensor: the first maps, kernels, rows or numbers."""
    if values.dim() == 4:  # kernels: outputs × inputs × rows × columns
        outputs = min(values.shape[0], MOST_MAPS)
        return values[:outputs, : max(1, 2 * MOST_MAPS // outputs)]
    if values.dim() == 3:
        return values[:MOST_MAPS]
    if values.dim() == 2:
        return values[: MATRIX[0], : MATRIX[1]]
    return values[:LONGEST_VECTOR]


def unpack_pixels(content: bytes, shape: Sequence[int]) -> Tensor:
    """Pixels uint8 of the shape C×H×W as a batch of one image.

    Raises:
        ValueError: The number of bytes is another.
    """
    if len(content) != math.prod(shape):
        raise ValueError(f"expected {math.prod(shape):,} bytes of pixels, got {len(content):,}")
    return torch.from_numpy(np.frombuffer(content, np.uint8).reshape(1, *shape).copy())
