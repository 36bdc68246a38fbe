"""Ways to damage a file."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES = (None, -1, 0, 10**9, 1.5, float("nan"), "", "x", [], {}, [[]], True, "💥", "\x00")


def mutate(path: Path, rng: random.Random) -> str:
    """Change a file at random, and say how."""
    content = path.read_bytes()
    text = path.suffix in (".json", ".csv", ".yaml")
    ways: list[Callable[[bytes, random.Random], bytes]] = [_cut, _flip, _empty, _repeat, _insert]
    if path.suffix == ".json":
        ways += [_change_json] * 6
    elif text:
        ways += [_change_cell] * 6
    elif path.suffix == ".safetensors":
        ways += [_change_header] * 4
    way = rng.choice(ways)
    path.write_bytes(way(content, rng))
    return way.__name__


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 64))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _empty(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"{}", b"[]", b"null", b"\xff\xfe"))


def _repeat(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = rng.randrange(len(lines) + 1)
    return b"".join(lines[:place] + lines[max(0, place - 1) :])


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.choice((1, 3, 40))) + content[place:]


def _change_json(content: bytes, rng: random.Random) -> bytes:
    document = json.loads(content)
    node: Any = document
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if rng.random() < 0.6 or not isinstance(node[key], dict | list) or not node[key]:
            if rng.random() < 0.4:
                del node[key]
            else:
                node[key] = rng.choice(VALUES)
            break
        node = node[key]
    return json.dumps(document).encode()


def _change_cell(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode().splitlines()
    if not lines:
        return content
    place = rng.randrange(len(lines))
    mark = "," if "," in lines[place] else ": "
    cells = lines[place].split(mark)
    column = rng.randrange(len(cells))
    how = rng.random()
    if how < 0.6:
        cells[column] = str(rng.choice(VALUES))
    elif how < 0.8:
        del cells[column]
    else:
        cells.insert(column, "x")
    lines[place] = mark.join(cells)
    return "\n".join([*lines, ""]).encode()


def _change_header(content: bytes, rng: random.Random) -> bytes:
    """Change the JSON header of a safetensors file; its length stays right."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = rng.choice(list(header))
    entry = header[name]
    if rng.random() < 0.3:
        del header[name]
    elif name == "__metadata__" and entry:
        key = rng.choice(list(entry))
        tree = entry[key]
        entry[key] = (
            tree[: rng.randrange(len(tree) + 1)]
            if rng.random() < 0.5
            else _flip(tree.encode(), rng).decode(errors="replace")
        )
    elif isinstance(entry, dict) and "shape" in entry:
        entry[rng.choice(("shape", "dtype", "data_offsets"))] = rng.choice(
            ([], [1], "F64", "I8", [0, 4], None)
        )
    header = {(name + "x" if rng.random() < 0.02 else name): value for name, value in header.items()}
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + content[8 + length :]
