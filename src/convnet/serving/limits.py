"""`Limits`: what one request, and all of them together, may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes:
        body: Bytes of a request.
        bodies: Bytes of all requests that have begun; further ones are refused with 429.
        pixels: Pixels of an image.
        images: Images of a request.
        seconds: Seconds until a request is answered, from its first byte to its answer.
        waiting: Images that are decoded or wait for the model; further requests are refused with 429.
        batch: Images that the model computes at once.
        delay: Seconds that an image waits for others that are being decoded, so that they share a batch.
    """

    body: int = 32 << 20
    bodies: int = 512 << 20
    pixels: int = 50_000_000
    images: int = 64
    seconds: float = 30.0
    waiting: int = 256
    batch: int = 32
    delay: float = 0.005
