"""`Bundle`: a trained network in a folder that predicts the same everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnet.errors import ModelError
from convnet.export.manifest import FILE_NAME, Manifest, parse_manifest
from convnet.outputs import Prediction
from convnet.prediction.predictor import Predictor

if TYPE_CHECKING:
    from convnet.prediction.network_predictor import NetworkPredictor

MANIFEST, CHECKSUMS, WEIGHTS, CARD = "bundle.json", "SHA256SUMS", "model.safetensors", "README.md"
ONNX, INT8, FULL, PROGRAM = "model.onnx", "model.int8.onnx", "model.full.onnx", "model.pt2"
LARGEST_TEXT = 64 << 20
"""The largest list of checksums that is read, in bytes."""
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(frozen=True)
class Bundle:
    """A bundle. Every file is compared with its checksum when it is read; nothing in it is executed.

    Attributes:
        path: The folder.
        manifest: The content of bundle.json.
        checksums: The SHA-256 of every file, by name.
        backend: The backend that was asked for; None for the fastest.
        precision: "fp32" or "int8".
        threads: The number of threads; None for one per core.
    """

    path: Path
    manifest: Manifest
    checksums: Mapping[str, str]
    backend: str | None = None
    precision: str = "fp32"
    threads: int | None = None

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"Bundle {self.path}: {manifest.name} {manifest.version}, {manifest.task.name}"

    def read(self, name: str) -> bytes:
        """The content of a file of the bundle.

        Raises:
            ModelError: The file is missing, lies outside the bundle, or does not match its checksum.
        """
        return _read(self.path, name, self.checksums)

    def has(self, name: str) -> bool:
        """Whether the bundle has a file of that name."""
        return name in self.checksums

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            ModelError: A file is missing or was changed.
        """
        for name in self.checksums:
            self.read(name)

    @cached_property
    def predictor(self) -> Predictor:
        """The network with its preprocessing, classes and thresholds, computed by the fastest backend.

        Raises:
            ModelError: A file is missing or damaged, or the backend is not installed.
        """
        from convnet.export.backends import open_backend

        manifest = self.manifest
        return Predictor(
            str(self.path),
            open_backend(self),
            manifest.kind,
            manifest.input_spec(),
            manifest.labels(),
            f"{self.checksums[MANIFEST]} {self.precision}",
        )

    @cached_property
    def network_predictor(self) -> NetworkPredictor:
        """The network as a torch module, with the same preprocessing and classes.

        Raises:
            ModelError: A file is missing or damaged, or the bundle holds no network in parts.
        """
        from convnet.export.network import bundled_network
        from convnet.prediction.network_predictor import NetworkPredictor
        from convnet.tasks import TASKS

        manifest = self.manifest
        task = TASKS.build(manifest.task.name, **manifest.task.options)
        return NetworkPredictor.of(
            str(self.path), bundled_network(self), task, manifest.input_spec(), manifest.labels()
        )

    def predict(self, inputs: Any, *, tile: int | None = None) -> list[Prediction]:
        """Predict files or images in memory, in the order given.

        Args:
            inputs: A path, a pattern, the bytes of an image file, a PIL image, an array (H×W, H×W×C or
                N×H×W×C; uint8, or floats 0…1), or a sequence of these.
            tile: For outputs per pixel: compute large images in tiles of tile×tile pixels.

        Returns:
            One prediction per image, row or series.

        Raises:
            DataError: A file is missing, cannot be read or does not fit the network.
            ModelError: The network does not take images of that size.
        """
        return self.predictor.predict(inputs, tile=tile)


def is_bundle(path: str | Path) -> bool:
    """Whether a folder is a bundle."""
    return (Path(path) / MANIFEST).is_file()


def load_bundle(
    path: str | Path, *, backend: str | None = None, precision: str = "fp32", threads: int | None = None
) -> Bundle:
    """Open a bundle that `convnet export` wrote. No code in it is executed.

    Args:
        path: The folder.
        backend: "onnxruntime", "openvino" or "torch". Default: the fastest measured by
            `convnet export --tune` on this machine, else the first of these that is installed and that the
            bundle has a model for.
        precision: "fp32", or "int8" for a bundle that was exported with --quantize int8.
        threads: The number of threads. Default: one per core.

    Returns:
        The bundle; its network is loaded when it is first used.

    Raises:
        ModelError: The folder is no bundle, is of a newer schema, or is damaged.
    """
    folder = Path(path).absolute()
    if not is_bundle(folder):
        raise ModelError(f"{path}: not a bundle; pass a folder written by 'convnet export'")
    if precision not in ("fp32", "int8"):
        raise ModelError(f"precision is 'fp32' or 'int8', got '{precision}'")
    checksums = _checksums(folder)
    try:
        content = json.loads(_read(folder, MANIFEST, checksums))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{folder / MANIFEST}: damaged: {error}; copy the bundle again") from None
    manifest = parse_manifest(content, str(folder / MANIFEST))
    if missing := {*manifest.files, MANIFEST} ^ checksums.keys():
        raise ModelError(
            f"{folder / CHECKSUMS}: its files and those of {MANIFEST} differ: {min(missing)}; copy the "
            "bundle again"
        )
    return Bundle(folder, manifest, checksums, backend, precision, threads)


def _checksums(folder: Path) -> dict[str, str]:
    """The names and checksums of SHA256SUMS."""
    place = folder / CHECKSUMS
    try:
        with place.open("rb") as file:
            text = file.read(LARGEST_TEXT).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{place}: cannot be read: {error}; copy the bundle again") from None
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ModelError(f"{place}: line {number} is not a checksum and a file; copy the bundle again")
        if not re.fullmatch(FILE_NAME, match[2]):
            raise ModelError(f"{place}: '{match[2]}' is outside the bundle; do not use this bundle")
        found[match[2]] = match[1]
    if MANIFEST not in found:
        raise ModelError(f"{place}: has no checksum of {MANIFEST}; copy the bundle again")
    return found


def _read(folder: Path, name: str, checksums: Mapping[str, str]) -> bytes:
    place = folder / name
    if name not in checksums:
        raise ModelError(f"{place}: the bundle has no file of this name")
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{place}: leads outside the bundle; do not use this bundle")
    try:
        content = place.read_bytes()
    except OSError as error:
        raise ModelError(f"{place}: {error.strerror}; copy the bundle again") from None
    if hashlib.sha256(content).hexdigest() != checksums[name]:
        raise ModelError(
            f"{place}: does not match its checksum in {CHECKSUMS}, so it was changed or cut off; copy the "
            "bundle again"
        )
    return content
