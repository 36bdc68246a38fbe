"""Safetensors files: the same bytes for the same content, read from any path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

METADATA = "__metadata__"


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file.

    The library writes metadata in random order; here it is sorted, so that equal runs have equal files.

    Args:
        tensors: Contiguous tensors that share no memory.
        metadata: Text for the file's header.
    """
    content = memoryview(save(dict(tensors), metadata=dict(metadata)))
    header, start = _header(content)
    ordered = {METADATA: dict(sorted(metadata.items())), **{k: v for k, v in header.items() if k != METADATA}}
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, content[start:]))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata.

    Raises:
        SafetensorError: The file is damaged.
        OSError: It cannot be read.
        ValueError: Its header is damaged.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:  # the library takes no such path
        content = path.read_bytes()
        tensors = load(content)
        return tensors, dict(_header(memoryview(content))[0].get(METADATA, {}))
    with safe_open(str(path), framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return found, file.metadata() or {}


def _header(content: memoryview) -> tuple[dict[str, dict[str, str]], int]:
    """The header of a file, and where it ends."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(bytes(content[8:end])), end
