"""Errors as JSON: `{"error": message}` with a status that says which side caused it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse


class ErrorAnswer(BaseModel):
    """An error."""

    error: str


class ApiError(Exception):
    """An error that a client can act on.

    Args:
        status: The HTTP status.
        message: What is wrong, and what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that failed."""
    return JSONResponse({"error": message}, status, headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an endpoint, for the description of the interface."""
    return {status: {"model": ErrorAnswer, "description": DESCRIPTIONS[status]} for status in statuses}


DESCRIPTIONS = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    404: "There is no such model.",
    413: "The request has too many bytes, images or pixels.",
    415: "The content type is not supported.",
    422: "The content cannot be read as what the model takes.",
    429: "Too many images are waiting; try again later.",
    500: "The model failed.",
    503: "The server is starting or stopping, or the request took too long.",
}


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of an application be answered in JSON."""

    async def api_error(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return error_answer(error.status, error.message, error.headers)

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        messages = {
            404: f"there is nothing at {request.url.path}; see /docs",
            405: f"{request.method} is not possible at {request.url.path}; see /docs",
        }
        message = messages.get(error.status_code, str(error.detail))
        return error_answer(error.status_code, message, error.headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return error_answer(422, f"{place}: {first['msg'].lower()}")

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
