"""`Gate`: what happens to every request: token, time limit, log, metrics, and unexpected errors."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convnet.serving.errors import error_answer
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics

OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
"""The paths that need no token."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
)
logger = logging.getLogger("convnet.serving.requests")


class Gate:
    """The outermost layer of the application.

    Args:
        app: The application.
        limits: The longest time of a request.
        metrics: Measures requests.
        token: The bearer token; None for none. Browsers may send it as the password of HTTP Basic.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, token: str | None) -> None:
        self._app, self._limits, self._metrics, self._token = app, limits, metrics, token
        self.draining = False
        """Whether the server is stopping, so that clients should use another connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            if self._token is not None and scope["path"] not in OPEN and not self._known(scope):
                refused = error_answer(
                    401,
                    "a token is needed: send the header 'Authorization: Bearer TOKEN'",
                    {"www-authenticate": 'Basic realm="convnet", charset="UTF-8"'},
                )
                await refused(scope, receive, answer)
            else:
                async with asyncio.timeout(self._limits.seconds):
                    await self._app(scope, receive, answer)
        except TimeoutError:
            reason = f"the request took longer than {self._limits.seconds:g} s; try again later"
            await self._fail(scope, receive, answer, status, 503, reason)
        except Exception as error:  # unexpected: the client gets JSON, the log the reason
            logger.error("%s %s: %s: %s", scope["method"], scope["path"], type(error).__name__, error)
            await self._fail(scope, receive, answer, status, 500, "the server failed; its log has the reason")
        finally:
            self._record(scope, status, time.perf_counter() - begun)

    async def _fail(
        self, scope: Scope, receive: Receive, send: Send, started: int, status: int, message: str
    ) -> None:
        """Answer with an error, unless an answer has begun."""
        if not started:
            await error_answer(status, message, {"connection": "close"})(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        """Whether the request has the token; compared in constant time."""
        assert self._token is not None
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, value = given.partition(b" ")
        if scheme.lower() == b"basic":
            try:
                value = base64.b64decode(value, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != b"bearer":
            return False
        return secrets.compare_digest(value.strip(), self._token.encode())

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).observe(seconds)
        if logger.isEnabledFor(logging.INFO):
            facts: dict[str, Any] = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * seconds, 2),
                **scope.get("state", {}).get("log", {}),
            }
            logger.info("request", extra={"facts": facts})
