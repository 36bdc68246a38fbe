"""Checkpoints: nested dicts and lists of tensors and numbers in one safetensors file, without pickle."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from convnet.atomic import write_atomically
from convnet.errors import RunError, in_one_line
from convnet.tensor_file import read_tensors, to_bytes

_TENSOR = "$tensor"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: tensors as such, everything else as JSON in the file's header.

    Args:
        path: The file.
        content: Nested dicts and lists of tensors and plain values.

    Raises:
        RunError: The disk is full or the folder is not writable; the previous checkpoint stays readable.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_take_out_tensors(content, "", tensors))
    metadata = {"tree": tree, "crc32": str(_checksum(tree, tensors))}
    write_atomically(path, to_bytes(tensors, metadata))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; its tensors are on the CPU.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        tensors, metadata = read_tensors(path)
        # Earlier versions wrote no checksum.
        if "crc32" in metadata and metadata["crc32"] != str(_checksum(metadata["tree"], tensors)):
            raise ValueError("its content does not match its checksum")
        content = _put_back_tensors(json.loads(metadata["tree"]), tensors)
        if not isinstance(content, dict):
            raise ValueError("it is no checkpoint")
        return content
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint") from None
    except (
        SafetensorError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise RunError(
            f"{path}: not a readable checkpoint: {in_one_line(error)}; delete it to start again"
        ) from error


def _checksum(tree: str, tensors: Mapping[str, Tensor]) -> int:
    found = zlib.crc32(tree.encode())
    for name in sorted(tensors):
        content = tensors[name].reshape(-1).view(torch.uint8).numpy()
        found = zlib.crc32(content.data, zlib.crc32(name.encode(), found))
    return found


def _take_out_tensors(node: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        # Copied because tied weights share memory, which the format does not allow.
        tensors[place] = node.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {_TENSOR: place}
    if isinstance(node, dict):
        # Pairs instead of an object: JSON would turn the integer keys of an optimizer's state into text.
        return {"$pairs": [[k, _take_out_tensors(v, f"{place}/{k}", tensors)] for k, v in node.items()]}
    if isinstance(node, list | tuple):
        return [_take_out_tensors(v, f"{place}/{i}", tensors) for i, v in enumerate(node)]
    return node


def _put_back_tensors(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_put_back_tensors(v, tensors) for v in node]
    if isinstance(node, dict) and _TENSOR in node:
        return torch.as_tensor(tensors[node[_TENSOR]])
    if isinstance(node, dict):
        return {k: _put_back_tensors(v, tensors) for k, v in node["$pairs"]}
    return node
