"""The content of requests: raw files, multipart forms, or JSON with base64."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Len
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from convnet.serving.errors import ApiError
from convnet.serving.limits import Limits

SUFFIXES = {
    "text/csv": ".csv",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "text/plain": ".ts",
}
"""The types of tables and series, and the suffixes of their files."""
RAW = ("application/octet-stream", *SUFFIXES)
FORM, JSON = "multipart/form-data", "application/json"
DISCARDED, DISCARD_SECONDS = 4, 0.2
"""Of a body that is too large, so many times the limit is read, as long as parts arrive that quickly."""


Count = Callable[[int], None]


class JsonImages(BaseModel):
    """Images as base64."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"images": ["iVBORw0KGgo…"]}]})

    images: Annotated[
        list[Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]],
        Len(1),
        Field(description="The contents of image files, as base64."),
    ]
    top: Annotated[int, Ge(1)] | None = None


def inlined(document: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a document without references, to describe a body that is read by hand."""
    schema = document.model_json_schema()
    parts = schema.pop("$defs", {})

    def replaced(node: Any) -> Any:
        if isinstance(node, dict) and "$ref" in node:
            return replaced(parts[node["$ref"].rpartition("/")[2]])
        if isinstance(node, dict):
            return {key: replaced(value) for key, value in node.items()}
        return [replaced(value) for value in node] if isinstance(node, list) else node

    found: dict[str, Any] = replaced(schema)
    return found


@dataclass(frozen=True)
class Body:
    """The files of a request.

    Attributes:
        contents: The bytes of each file.
        suffix: The suffix of their names, for tables and series.
        top: The number of classes that the body asks for.
    """

    contents: list[bytes]
    suffix: str = ".csv"
    top: int | None = None


async def read_files(request: Request, limits: Limits, count: Count) -> Body:
    """Read the files of a request.

    Args:
        request: The request.
        limits: The limits of the server.
        count: Counts the bytes that have arrived, and raises if there are too many.

    Raises:
        ApiError: The body is too large (413), malformed (400), empty (400) or of another type (415), or holds
            too many files (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, JSON, *RAW) and not kind.startswith("image/"):
        raise ApiError(
            415,
            f"content type '{kind[:100]}' is not supported; send image/*, application/octet-stream, {FORM}, "
            f"{JSON}, or text/csv for tables and series",
        )
    content = await read_body(request, limits, count)
    if kind == FORM:
        found = Body(await _form_files(request, content, limits), _suffix(kind))
    elif kind == JSON:
        found = _json_files(content)
    else:
        found = Body([content], _suffix(kind))
    if not found.contents or not all(found.contents):
        raise ApiError(400, "the request holds no file, or an empty one")
    if len(found.contents) > limits.images:
        raise ApiError(413, f"the request holds {len(found.contents)} images; the limit is {limits.images}")
    return found


async def read_body(request: Request, limits: Limits, count: Count) -> bytes:
    """The bytes of a body; see `read_files`.

    Raises:
        ApiError: It is too large (413).
    """
    too_large = ApiError(413, f"the body has over {limits.body:,} bytes", {"connection": "close"})
    declared, stream = request.headers.get("content-length", ""), request.stream()
    if declared.isdecimal() and int(declared) > limits.body:
        await _discard(stream, limits)
        raise too_large
    chunks, size = [], 0
    try:
        async for chunk in stream:
            chunks.append(chunk)
            size += len(chunk)
            if size > limits.body:
                raise too_large
            count(len(chunk))
    except ApiError:
        chunks.clear()
        await _discard(stream, limits)
        raise
    except ClientDisconnect:
        raise ApiError(400, "the client closed the connection") from None
    return b"".join(chunks)


async def _discard(stream: AsyncGenerator[bytes, None], limits: Limits) -> None:
    """Take what a client is sending, so that it reads the answer instead of a broken connection."""
    left = DISCARDED * limits.body
    try:
        while left > 0:
            left -= len(await asyncio.wait_for(anext(stream), DISCARD_SECONDS))
    except (TimeoutError, StopAsyncIteration, ClientDisconnect):
        return


async def _form_files(request: Request, content: bytes, limits: Limits) -> list[bytes]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    parser = MultiPartParser(
        request.headers, stream(), max_files=limits.images + 1, max_fields=16, max_part_size=limits.body
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, AssertionError) as error:
        text = getattr(error, "message", None) or "the form is malformed"
        status = 413 if "Too many files" in text else 400
        raise ApiError(status, f"multipart: {text[0].lower()}{text[1:]}") from None
    try:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        return [await file.read() for file in files]
    finally:
        await form.close()


def _json_files(content: bytes) -> Body:
    try:
        given = JsonImages.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        status = 400 if first["type"] == "json_invalid" else 422
        raise ApiError(status, f"{place or 'body'}: {first['msg'].lower()}") from None
    try:
        return Body([base64.b64decode(text, validate=True) for text in given.images], top=given.top)
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, f"images: not base64: {error}".lower()) from None


def _suffix(kind: str) -> str:
    return SUFFIXES.get(kind, ".csv")
