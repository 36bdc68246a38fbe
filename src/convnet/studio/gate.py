"""`Gate`: who may use the studio: the token, the host and the origin of every request; headers of answers."""

from __future__ import annotations

import logging
import secrets
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src "
    "'self'; media-src blob:; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of the studio's own pages."""
REPORT = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""That of reports, which are self-contained files: they reach neither the studio nor anything else."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)
SAFE = ("GET", "HEAD")
STREAMED = ("/api/uploads", "/api/inspect/decode")
"""Requests whose content is counted while it arrives."""
LARGEST_BODY = 8 << 20
"""The largest number of bytes of other requests."""
logger = logging.getLogger(__name__)


class Gate:
    """The outermost layer of the application.

    Args:
        app: The application.
        port: The port of the server.
        token: The token of this start of the studio.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._hosts = [[f"{name}:{port}"] for name in ("127.0.0.1", "localhost")]
        self._cookie = f"convnet-studio-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refused is not None:
                await send({"type": "websocket.close", "code": 4403, "reason": refused[1]})
                return
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
                if not any(name == b"content-security-policy" for name, _ in message["headers"]):
                    message["headers"].append((b"content-security-policy", PAGE.encode()))
            await send(message)

        if refused is not None:
            await JSONResponse({"error": refused[1]}, refused[0])(scope, receive, answer)
        elif scope["path"] == "/" and b"token=" in scope["query_string"]:
            await self._welcome(scope, receive, answer)
        else:
            try:
                await self._app(scope, receive, answer)
            except Exception as error:  # unexpected; the application has answered with a message
                logger.error("%s %s: %s: %s", scope["method"], scope["path"], type(error).__name__, error)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and message for a request that is refused; None for others."""
        if headers.getlist("host") not in self._hosts:
            return 421, "this server answers only at its own address on this machine"
        origin = headers.get("origin")
        own = {f"http://{host}" for (host,) in self._hosts}
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE
        if (unsafe and origin is None) or (origin is not None and origin not in own):
            return 403, "requests from other pages are refused"
        if scope["type"] == "http" and scope["path"] not in STREAMED and not _is_small(headers):
            return 413, f"a request may have {LARGEST_BODY >> 20} MB, and has to give its length"
        if not self._known(scope, headers):
            return 401, "open the address that 'convnet studio' printed; it has the token"
        return None

    def _known(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request has the token, in its cookie or, for the page, in its address."""
        found = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if scope["type"] == "http" and scope["path"] == "/" and not self._same(found):
            query = parse_qs(scope["query_string"].decode("latin-1"))
            found = query.get("token", [""])[0]
        return self._same(found)

    def _same(self, found: str) -> bool:
        return secrets.compare_digest(found.encode(), self._token.encode())

    async def _welcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the token in a cookie and remove it from the address."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        query.pop("token", None)
        rest = urlencode(query, doseq=True)
        response = RedirectResponse("/" + (f"?{rest}" if rest else ""), 303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        await response(scope, receive, send)


def _is_small(headers: Headers) -> bool:
    """Whether a request has no content, or a content of a known and allowed length."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" not in headers and length.isdecimal() and int(length) <= LARGEST_BODY
