"""Messages between the server and a training process, over its standard input and output.

A message is a length, a kind and a content: JSON or bytes.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import IO, Any

HEAD = struct.Struct("<IB")
TEXT, BINARY = 0, 1
LONGEST = 1 << 30
"""The largest number of bytes of a message."""

Message = dict[str, Any] | bytes


def packed(message: Message) -> bytes:
    """A message as bytes."""
    if isinstance(message, bytes):
        return HEAD.pack(len(message), BINARY) + message
    content = json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
    return HEAD.pack(len(content), TEXT) + content


def read_message(stream: IO[bytes]) -> Message | None:
    """The next message of a stream; None at its end."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length, kind = HEAD.unpack(head)
    content = stream.read(length)
    return None if len(content) < length else _unpacked(content, kind)


async def receive_message(stream: asyncio.StreamReader) -> Message | None:
    """As `read_message`, asynchronously."""
    try:
        length, kind = HEAD.unpack(await stream.readexactly(HEAD.size))
        return _unpacked(await stream.readexactly(length), kind)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _unpacked(content: bytes, kind: int) -> Message:
    if kind == BINARY:
        return content
    found: dict[str, Any] = json.loads(content)
    return found
