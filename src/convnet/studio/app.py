"""The application: the page, its files and the requests of all views."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from convnet.errors import ConvnetError, in_one_line
from convnet.studio.gate import Gate
from convnet.studio.routes import data, inspect, plane, runs, training
from convnet.studio.state import Studio

STATIC = Path(__file__).parent / "static"


def make_app(studio: Studio, port: int, token: str) -> Gate:
    """The application of the studio.

    Args:
        studio: What all requests share.
        port: The port of the server.
        token: The token that every request needs.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await studio.jobs.open()
        yield
        await studio.jobs.close()
        studio.servers.close()

    app = FastAPI(title="convnet studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.studio = studio
    for module in (training, runs, inspect, plane, data):
        app.include_router(module.router)
    _add_errors(app)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", UncachedFiles(directory=STATIC), name="static")
    return Gate(app, port, token)


class UncachedFiles(StaticFiles):
    """Files that a browser asks for again, so that a page never mixes the modules of two versions."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """The answer with a file."""
        response = super().file_response(*arguments, **options)
        response.headers["cache-control"] = "no-cache"
        return response


def _add_errors(app: FastAPI) -> None:
    """Let every error be answered in JSON: {"error": message}."""

    async def user_error(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    async def http_error(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail).lower()}, error.status_code, error.headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"error": f"{place}: {first['msg'].lower()}"}, 422)

    async def unexpected(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(
            {"error": f"the studio failed: {type(error).__name__}: {in_one_line(error)}"}, 500
        )

    app.add_exception_handler(ConvnetError, user_error)
    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
