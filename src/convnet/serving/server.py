"""The server process: sockets, signals, slow clients."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import suppress
from math import ceil
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from convnet.errors import ServerError
from convnet.serving.app import make_app
from convnet.serving.gate import Gate
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics
from convnet.serving.server_state import ServerState
from convnet.serving.store import ModelStore

HEADER_SECONDS = 10.0
"""The longest time in which the header of a request must arrive."""
DRAIN_SECONDS = 0.5
"""After SIGTERM, answers close their connections for so long before the port is closed."""
BACKLOG = 4096
logger = logging.getLogger(__name__)


class Protocol(HttpToolsProtocol):
    """HTTP with a time limit for headers, and errors in JSON."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first header."""
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the time limit of a further header."""
        if self._deadline is None:
            self._start_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the time limit: that of the body is the application's."""
        self._stop_deadline()
        super().on_headers_complete()

    def shutdown(self) -> None:
        """Close when the requests are answered; one that was accepted a moment ago may still arrive."""
        if self.cycle is None and not self.transport.is_closing():
            self.loop.call_later(DRAIN_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """An answer in JSON to what is not HTTP."""
        self._refuse(b"400 Bad Request", b"the request is not HTTP/1.1")

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout", b"the header of the request did not arrive in time")

    def _refuse(self, status: bytes, message: bytes) -> None:
        body = b'{"error": "' + message + b'"}'
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (
            status,
            len(body),
        )
        self.transport.write(head + b"connection: close\r\n\r\n" + body)
        self.transport.close()


class Server(uvicorn.Server):
    """A server that first stops being ready, then drains its connections, then ends."""

    gate: Gate
    state: ServerState
    listening: socket.socket

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, accept the connections that the system has queued, and finish all requests."""
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        with self.listening, suppress(BlockingIOError):
            while True:
                accepted, _ = self.listening.accept()
                await loop.connect_accepted_socket(self._protocol, accepted)
        await super().shutdown(sockets)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, self.lifespan.state)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, end at once on a second one."""
        if self.gate.draining:
            self.should_exit = self.force_exit = True
            return
        logger.info("stopping: requests that have begun are answered")
        self.gate.draining, self.state.ready = True, False
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, DRAIN_SECONDS, self._close)

    def _close(self) -> None:
        self.should_exit = True


def serve(
    folders: list[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    limits: Limits | None = None,
    **options: Any,
) -> None:
    """Serve bundles until SIGTERM or SIGINT.

    Args:
        folders: The folders of the bundles.
        host: The address to listen at.
        port: The port; 0 for a free one.
        token: The bearer token; None for none.
        limits: The limits of requests.
        **options: `backend`, `precision` and `threads` of the models; see `convnet.load_bundle`.

    Raises:
        ModelError: A bundle is damaged, or two have the same name and version.
        ServerError: The address cannot be used.
    """
    _raise_file_limit()
    limits, metrics = limits or Limits(), Metrics()
    state = ServerState(ModelStore(folders, limits, metrics, **options), limits, metrics)
    gate = make_app(state, token)
    config = uvicorn.Config(
        gate,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=ceil(limits.seconds) + 1,
    )
    server = Server(config)
    server.gate, server.state = gate, state
    with _listening(host, port) as listening:
        address = listening.getsockname()
        for model in state.store.models:
            logger.info("model %s %s, %s", model.name, model.version, model.predictor.backend.name)
        server.listening = listening.dup()  # keeps the queue of connections when the port is closed
        server.listening.setblocking(False)
        logger.info("listening at http://%s:%d", host, address[1])
        server.run([listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ServerError(
            f"cannot listen at {host}:{port}: {error}; choose another --host or --port"
        ) from error


def _raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
