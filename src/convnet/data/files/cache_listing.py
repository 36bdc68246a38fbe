"""What is in the cache folder, and which of it is of no more use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convnet.data.files.remote_file import cache_folder


@dataclass(frozen=True)
class Cached:
    """An entry of the cache.

    Attributes:
        kind: "images" (decoded images), "embeddings", "scans" or "downloads".
        name: The data that it belongs to.
        path: Its file or folder.
        bytes: Its size on disk.
        stale: Why it is of no more use; empty if it may be used.
    """

    kind: str
    name: str
    path: Path
    bytes: int
    stale: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain values, for JSON."""
        return {**asdict(self), "path": str(self.path)}


def list_cached() -> list[Cached]:
    """All entries, stale ones first, then the largest first."""
    root = cache_folder("packs").parent
    found = [*_packs(root / "packs", "images"), *_packs(root / "embeddings", "embeddings"), *_others(root)]
    return sorted(found, key=lambda entry: (not entry.stale, -entry.bytes))


def clear(entries: Sequence[Cached]) -> None:
    """Delete entries; processes that use them keep their open files."""
    for entry in entries:
        if entry.path.is_dir():
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            entry.path.unlink(missing_ok=True)


def _packs(folder: Path, kind: str) -> list[Cached]:
    """Caches of decoded images or of embeddings; of several of a folder, the one used last is current."""
    packs: list[tuple[Cached, str, float]] = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            document = json.loads((place / "pack.json").read_text(encoding="utf-8"))
            source, shape = str(document["root"]), document["shape"]
            used = (place / "state").stat().st_mtime
            what = f"by {document['model']['name']}" if "model" in document else "×".join(map(str, shape[1:]))
        except (OSError, ValueError, LookupError, TypeError):
            packs.append((Cached(kind, place.name, place, _size(place), "damaged"), place.name, 0.0))
            continue
        gone = "" if "://" in source or Path(source).exists() else "its data no longer exists"
        group = source + str(document.get("model", ""))
        packs.append((Cached(kind, f"{source} {what}", place, _size(place), gone), group, used))
    latest = {group: max(used for _, other, used in packs if other == group) for _, group, _ in packs}
    return [
        entry
        if entry.stale or used == latest[group]
        else Cached(entry.kind, entry.name, entry.path, entry.bytes, "an earlier size or state")
        for entry, group, used in packs
    ]


def _others(root: Path) -> list[Cached]:
    """Scans and downloads, an entry each."""
    found = []
    for place in sorted(root.iterdir()) if root.is_dir() else []:
        if place.is_dir() and place.name not in ("packs", "embeddings"):
            kind = "scans" if place.name == "scans" else "downloads"
            found.append(Cached(kind, place.name, place, _size(place)))
    return found


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())
