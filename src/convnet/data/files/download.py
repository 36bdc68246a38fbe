"""Download files from several mirrors, with checksums and resumed downloads."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pooch
import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from convnet.data.files.remote_file import RemoteFile, name_of
from convnet.errors import DataError, in_one_line

TIMEOUT_SECONDS = 20
ATTEMPTS = 2
CHUNK_BYTES = 1 << 15
"""The chunk size of downloads; an incomplete chunk is not written."""


def fetch(files: Iterable[RemoteFile], folder: Path) -> None:
    """Download the files that are missing in `folder`, trying every mirror.

    A file gets its name only when it is complete and its checksum is right. An interrupted download stays
    next to it as `.NAME.part` and is resumed by the next attempt.

    Args:
        files: The files.
        folder: Where they are stored.

    Raises:
        DataError: A file could not be downloaded; the message names the files, URLs and folder.
    """
    pooch.get_logger().setLevel(logging.CRITICAL)  # pooch prints every URL that it tries
    failures = {file: reason for file in files if (reason := _fetch_one(file, folder))}
    if failures:
        lines = [
            f"  {file.name}: {' or '.join(file.addresses)} ({reason})" for file, reason in failures.items()
        ]
        raise DataError(
            f"these files could not be downloaded; get them elsewhere and put them into {folder}:\n"
            + "\n".join(lines)
        )


def fetch_address(address: str, folder: Path, sha256: str = "") -> Path:
    """Download the file at a URL into `folder`, unless it is already there.

    Args:
        address: The URL.
        folder: Where the file is stored.
        sha256: Its checksum, or the beginning of it.

    Returns:
        The path of the file.

    Raises:
        DataError: The file cannot be downloaded or has another checksum.
    """
    pooch.get_logger().setLevel(logging.CRITICAL)
    try:
        name = name_of(address)
        requests.Request("GET", address).prepare()
    except (ValueError, requests.RequestException) as error:  # a UnicodeError is a ValueError
        raise DataError(f"{address}: not a valid address: {in_one_line(error)}") from error
    downloader = partial(_resuming_download, name=name)
    try:
        path = Path(pooch.retrieve(address, known_hash=None, fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        raise DataError(
            f"{address}: cannot be downloaded ({_short(error)}); get the file elsewhere and pass its path"
        ) from error
    if not pooch.file_hash(str(path), alg="sha256").startswith(sha256):
        path.unlink()
        raise DataError(f"{address}: the downloaded file does not have the checksum {sha256}…; try again")
    return path


def _fetch_one(file: RemoteFile, folder: Path) -> str:
    """The reason why a file cannot be downloaded; empty if it is in `folder` now."""
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
        except OSError as error:  # errors of requests and of the file system
            reason = _short(error)
        except ValueError:
            reason = "wrong checksum"
    return reason


def _resuming_download(url: str, output: str | Path, _pooch: object, *, name: str = "") -> None:
    """A downloader for pooch that resumes `.NAME.part` and then moves it to `output`.

    NAME is the last part of the URL, the same for all mirrors, unless `name` is given.
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
    """Download the bytes from `done` on, or all of them if the server ignores ranges."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the download was already complete
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


def _short(error: Exception) -> str:
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    return getattr(error, "strerror", None) or type(error).__name__
