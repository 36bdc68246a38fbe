"""`ServerState`: what the endpoints share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from convnet.serving.errors import ApiError
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics
from convnet.serving.store import ModelStore


@dataclass
class ServerState:
    """The models, limits and metrics of a server.

    Attributes:
        store: The models.
        limits: The limits.
        metrics: The metrics.
        ready: Whether requests should be sent here; not while it stops.
        waiting: Images that are decoded or wait for a model.
    """

    store: ModelStore
    limits: Limits
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = True
    waiting: int = 0

    @contextmanager
    def admitted(self, images: int) -> Iterator[None]:
        """A block in which so many images are counted as waiting.

        Raises:
            ApiError: Too many wait already (429).
        """
        if self.waiting and self.waiting + images > self.limits.waiting:
            raise ApiError(
                429,
                f"{self.waiting} images are waiting, and the limit is {self.limits.waiting}; try again later",
                {"retry-after": "1"},
            )
        self.waiting += images
        self.metrics.waiting.set(self.waiting)
        try:
            yield
        finally:
            self.waiting -= images
            self.metrics.waiting.set(self.waiting)


def state_of(request: Request) -> ServerState:
    """The state of the application that handles a request."""
    state: ServerState = request.app.state.server
    return state
