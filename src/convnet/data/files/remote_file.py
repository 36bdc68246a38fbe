"""Files that can be downloaded, and where they are kept; downloading itself is imported when it is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_cache_path


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name, its sha256, and its mirrors (URLs ending in '/')."""

    name: str
    sha256: str
    mirrors: tuple[str, ...]

    @property
    def addresses(self) -> list[str]:
        """One URL per mirror."""
        return [mirror + self.name for mirror in self.mirrors]


def cache_folder(name: str) -> Path:
    """The folder of downloaded or cached files called `name`."""
    return user_cache_path("convnet") / name


def fetched(address: str, folder: Path) -> Path | None:
    """The file that `download.fetch_address` has stored; None if it has not been downloaded."""
    path = folder / name_of(address)
    return path if path.is_file() else None


def name_of(address: str) -> str:
    """The last part of a URL, prefixed with a hash of the whole, because two URLs may end alike."""
    digest = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{digest}-{Path(urlsplit(address).path).name or 'file'}"
