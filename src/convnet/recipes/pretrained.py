"""Weights from files, addresses and runs, as tensors by name; no code in them is ever run (M47)."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convnet.data import as_path
from convnet.data.files.download import cache_folder, fetch_address
from convnet.errors import DataError, RecipeError, in_one_line
from convnet.models.published import IMAGENET

State = dict[str, Tensor]

_HUB = "https://huggingface.co/{repo}/resolve/main/{file}"


def is_local(source: str) -> bool:
    """Whether it is a path: no address, and not the name of public weights."""
    return source != "imagenet" and not source.startswith("hf:") and not re.match(r"https?://", source)


def locate(source: str, model: str) -> Path:
    """The file that `source` means, downloaded into the user's cache where it is an address.

    `source` is a file, a run's folder, an address, "hf:owner/name/file", or "imagenet": the public file of
    the network `model`.

    Raises:
        DataError: it is not there, cannot be had, or has another checksum.
        RecipeError: no public file is known for the network.
    """
    if source == "imagenet":
        if model not in IMAGENET:
            raise RecipeError(
                f"no public ImageNet weights are known for '{model}', only for {', '.join(IMAGENET)}"
            )
        published = IMAGENET[model]
        return fetch_address(published.address, cache_folder("weights"), published.sha256)
    if source.startswith("hf:"):
        parts = source.removeprefix("hf:").split("/")
        if len(parts) < 3 or not all(parts):
            raise RecipeError(f"weights '{source}': expected hf:owner/name/file")
        address = _HUB.format(repo="/".join(parts[:2]), file="/".join(parts[2:]))
        return fetch_address(address, cache_folder("weights"))
    if re.match(r"https?://", source):
        return fetch_address(source, cache_folder("weights"))
    path = as_path(source)
    if path.is_dir() and (path / "run.json").exists():
        path = path / "model.safetensors"
        if not path.exists():
            raise DataError(f"{source}: the run is not finished; continue it with 'convnet resume {source}'")
    if not path.is_file():
        raise DataError(f"{source}: no such file of weights, and no run")
    return path


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> State:
    """The tensors of a .safetensors file, or of a .pth file that holds nothing but tensors.

    Raises:
        DataError: it is damaged, would run code, or holds no tensors by name.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path}: not readable safetensors: {in_one_line(error)}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on old formats
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: refused: it holds more than tensors, and loading it could run code; ask its author "
            f"for a .safetensors file, or save its state_dict alone ({_reason(error)})"
        ) from error
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DataError(f"{path}: not a readable file of weights: {in_one_line(error)}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: holds no state dict, but {type(content).__name__}")
    state = {str(name).removeprefix("module."): value for name, value in content.items()}
    if strange := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise DataError(f"{path}: '{strange[0]}' is no tensor; save the state_dict of the network alone")
    return state


def _reason(error: Exception) -> str:
    """What it holds, out of torch's long advice."""
    found = re.search(r"GLOBAL ([\w.]+)|Unsupported global: GLOBAL ([\w.]+)", str(error))
    return f"it names {found[1] or found[2]}" if found else "it is a pickle of other objects"
