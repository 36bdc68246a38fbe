"""Write a bundle: the manifest, the weights, golden samples, exported models, the model card, checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convnet.atomic import create_folder, write_atomically
from convnet.export.bundle import CARD, CHECKSUMS, MANIFEST
from convnet.export.manifest import Manifest
from convnet.export.model_card import model_card


def write_bundle(path: Path, manifest: Manifest, files: Mapping[str, bytes], card: Mapping[str, Any]) -> Path:
    """Write a bundle, atomically.

    Args:
        path: The folder; must not exist, or be empty.
        manifest: The content of bundle.json.
        files: The other files by name.
        card: The facts of the model card that the manifest does not have; see `model_card`.

    Returns:
        The absolute path of the folder.

    Raises:
        RunExistsError: The folder is not empty.
        RunError: It cannot be written.
    """
    described = manifest.model_dump(mode="json", by_alias=True)
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    content = {**files, MANIFEST: text.encode(), CARD: model_card(manifest, files, card).encode()}
    sums = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content))

    def fill(folder: Path) -> None:
        for name, data in content.items():
            (folder / name).parent.mkdir(exist_ok=True)
            write_atomically(folder / name, data)
        write_atomically(folder / CHECKSUMS, sums)

    return create_folder(
        path, fill, lambda folder: f"{folder} is not empty; choose another folder with --out"
    )
