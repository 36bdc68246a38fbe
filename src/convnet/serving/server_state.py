"""`ServerState`: what the endpoints share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from convnet.serving.errors import ApiError
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics
from convnet.serving.store import ModelStore

TOO_MANY_BYTES = (
    "other requests hold too many bytes; try again later",
    {"retry-after": "1", "connection": "close"},
)


@dataclass
class ServerState:
    """The models, limits and metrics of a server.

    Attributes:
        store: The models.
        limits: The limits.
        metrics: The metrics.
        ready: Whether requests should be sent here; not while it stops.
        waiting: Images that are decoded or wait for a model.
        held: Bytes of the requests that have begun.
    """

    store: ModelStore
    limits: Limits
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = True
    waiting: int = 0
    held: int = 0

    @contextmanager
    def receiving(self) -> Iterator[Callable[[int], None]]:
        """A block in which the bytes of a request are counted by the function that it yields.

        Raises:
            ApiError: The requests that have begun hold too many bytes (429).
        """
        own = 0

        def count(received: int) -> None:
            nonlocal own
            own += received
            self.held += received
            if own < self.held and self.held > self.limits.bodies:
                raise ApiError(429, *TOO_MANY_BYTES)

        try:
            yield count
        finally:
            self.held -= own

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
