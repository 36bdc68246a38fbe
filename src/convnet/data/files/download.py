"""Fetching the files of a named set: several mirrors, a checksum, no half file in place."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from convnet.errors import DataError

TIMEOUT_SECONDS = 20
ATTEMPTS = 2
CHUNK_BYTES = 1 << 15
"""What a broken connection may cost; a chunk that is cut off is not written."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name, its sha256, and the folders (URLs ending in '/') that carry it."""

    name: str
    sha256: str
    mirrors: tuple[str, ...]

    @property
    def addresses(self) -> list[str]:
        """One full address per mirror."""
        return [mirror + self.name for mirror in self.mirrors]


def fetch(files: Iterable[RemoteFile], folder: Path) -> None:
    """Download the files that `folder` lacks, trying every mirror of each.

    A file appears under its name only once it is whole and its checksum is right. What a broken
    connection left stays beside it as `.NAME.part`, and the next attempt goes on from there.

    Raises:
        DataError: some file could not be had; names the files, their addresses and the folder.
    """
    pooch.get_logger().setLevel(logging.CRITICAL)  # it would print each address it tries
    failures = {file: reason for file in files if (reason := _fetch_one(file, folder))}
    if failures:
        lines = [
            f"  {file.name}: {' or '.join(file.addresses)} ({reason})" for file, reason in failures.items()
        ]
        raise DataError(
            "these files could not be downloaded; get them elsewhere and put them into "
            f"{folder}:\n" + "\n".join(lines)
        )


def cache_folder(name: str) -> Path:
    """Where downloaded files lie: of the set `name`, or weights."""
    return Path(pooch.os_cache("convnet")) / name


def fetch_address(address: str, folder: Path, sha256: str = "") -> Path:
    """The file at an address, downloaded into `folder` where it is not there yet.

    `sha256` is its checksum or the beginning of it. A broken download goes on where it stopped.

    Raises:
        DataError: it cannot be had, or has another checksum.
    """
    pooch.get_logger().setLevel(logging.CRITICAL)
    name = _name_of(address)
    downloader = partial(_resuming_download, name=name)
    try:
        path = Path(pooch.retrieve(address, known_hash=None, fname=name, path=folder, downloader=downloader))
    except OSError as error:
        raise DataError(
            f"{address}: cannot be downloaded ({_short(error)}); get the file elsewhere and name its path"
        ) from error
    if not pooch.file_hash(str(path), alg="sha256").startswith(sha256):
        path.unlink()
        raise DataError(f"{address}: what was downloaded has another checksum than {sha256}…; try again")
    return path


def _name_of(address: str) -> str:
    """The last part of an address, behind a few characters of its checksum: two addresses may end alike."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return f"{digest}-{Path(urlsplit(address).path).name or 'file'}"


def _fetch_one(file: RemoteFile, folder: Path) -> str:
    """The reason why the file cannot be had, or nothing where it now lies in `folder`."""
    reason = "no mirror"
    for address in file.addresses:
        try:
            pooch.retrieve(
                address,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=folder,
                downloader=_resuming_download,
            )
            return ""
        except OSError as error:  # requests' errors are OSErrors; so is an unwritable folder
            reason = _short(error)
        except ValueError:
            reason = "wrong checksum"
    return reason


def _resuming_download(url: str, output: str | Path, _pooch: object, *, name: str = "") -> None:
    """pooch's downloader: continue `.NAME.part`, then move it to `output`, where the checksum is checked.

    NAME is the last part of the address, the same for all mirrors of a file, unless it is given.
    """
    target = Path(output)
    part = target.parent / f".{name or url.rsplit('/', 1)[-1]}.part"
    for attempt in range(ATTEMPTS):
        done = part.stat().st_size if part.exists() else 0
        try:
            _append(url, part, done)
            break
        except requests.RequestException:
            if attempt == ATTEMPTS - 1:
                raise
    part.replace(target)


def _append(url: str, part: Path, done: int) -> None:
    """Get the bytes from `done` on; from the start where the server ignores the range."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the part is whole already
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        total = int(response.headers.get("content-length", 0)) + (done if resumed else 0)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with (
            part.open("ab" if resumed else "wb") as file,
            Progress(*columns, console=Console(stderr=True)) as bar,
        ):
            task = bar.add_task(part.name[1:-5], total=total or None, completed=done if resumed else 0)
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                bar.advance(task, len(chunk))


def _short(error: OSError) -> str:
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    return error.strerror or type(error).__name__
