"""`RunFolder`: the files of a run, their creation and the lock for writing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convnet.atomic import PART, cannot_write, create_folder, empty_folder, write_atomically
from convnet.errors import RunError, RunExistsError
from convnet.runs.change_log import Change, read_changes
from convnet.runs.schema import WAY_OUT, DataFile, EnvironmentFile, ResultFile, validated

FORMAT = 1
"""Version of the folder's layout; runs of other versions are not opened."""
OLD_KEYS = {"form": "modality", "skipped": "unreadable", "notes": "warnings", "unfit": "excluded"}
"""Keys of `data.json` in runs of earlier versions."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run. A folder is a run if it holds `run.json`."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The checkpoint from which training resumes."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint of the epoch with the lowest validation loss, kept for early stopping."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def fitted_checkpoint(self) -> Path:
        """The state of stages that were fitted before the first step."""
        return self.path / "checkpoints" / "learnt.safetensors"

    def file(self, name: str) -> Path:
        """The path of a file of the run: recipe.yaml, environment.json, split.csv, metrics.csv, …"""
        return self.path / name

    def read(self, name: str) -> str:
        """The text of a file of the run.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            return self.file(name).read_bytes().decode()
        except OSError as error:
            raise RunError(f"{self.file(name)}: {error.strerror}; is {self.path} a complete run?") from error
        except UnicodeDecodeError as error:
            raise RunError(f"{self.file(name)}: damaged: {error}; {WAY_OUT}") from error

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file of the run atomically.

        Raises:
            RunError: The disk is full or the folder is not writable.
        """
        write_atomically(self.file(name), content)

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of the run.

        Raises:
            RunError: The file is missing or does not hold a JSON object.
        """
        try:
            content = json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.file(name)}: damaged: {error}; {WAY_OUT}") from error
        if not isinstance(content, dict):
            raise RunError(f"{self.file(name)}: damaged: not a JSON object; {WAY_OUT}")
        return content

    @property
    def data(self) -> dict[str, Any]:
        """The content of `data.json`: name, classes, shape and sample counts of the data.

        Raises:
            RunError: The file is missing or damaged.
        """
        content = self.read_json("data.json")
        renamed = {OLD_KEYS.get(key, key): value for key, value in content.items()}
        found = {"modality": "table" if renamed.get("columns") else "images", **renamed}
        return validated(DataFile, found, str(self.file("data.json")))

    @property
    def environment(self) -> dict[str, Any]:
        """The content of `environment.json`: versions, machine, data folder, threads.

        Raises:
            RunError: The file is missing or damaged.
        """
        content = self.read_json("environment.json")
        return validated(EnvironmentFile, content, str(self.file("environment.json")))

    @property
    def result(self) -> dict[str, Any]:
        """The content of `result.json`: the final figures.

        Raises:
            RunError: The file is missing or damaged.
        """
        return validated(ResultFile, self.read_json("result.json"), str(self.file("result.json")))

    @property
    def changes(self) -> list[Change]:
        """The changes in `events.csv`, which were made during training; none without the file.

        Raises:
            RunError: The file is damaged.
        """
        file = self.file("events.csv")
        return read_changes(file) if file.exists() else []

    @property
    def finished(self) -> bool:
        """Whether the run is finished, that is, result.json exists."""
        return self.file("result.json").exists()

    @classmethod
    def create(cls, path: Path, files: Mapping[str, str | bytes]) -> RunFolder:
        """Create a run folder with these files, atomically.

        Args:
            path: The folder; must not exist, or be empty.
            files: Contents by file name.

        Raises:
            RunExistsError: The folder is not empty.
            RunError: The parent is not writable.
        """
        return cls(create_folder(path, lambda folder: _fill(folder, files), _occupied))

    @classmethod
    def create_numbered(cls, parent: Path, stem: str, files: Mapping[str, str | bytes]) -> RunFolder:
        """Create `parent/stem-N` with the next free number N; safe if several processes do so at once.

        Raises:
            RunError: `parent` is not writable.
        """
        while True:
            with suppress(RunExistsError):
                return cls.create(_next_free(parent, stem), files)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run.

        Raises:
            RunError: The folder holds no run, or a run of another version.
        """
        folder = cls(path.absolute())
        try:
            there = folder.file("run.json").exists()
        except OSError as error:
            raise RunError(f"{str(path)[:200]}: {error.strerror}") from error
        if not there:
            raise RunError(f"{path}: not a run; pass a folder written by 'convnet train'")
        found = folder.read_json("run.json")
        version = found.get("format")
        if version != FORMAT:
            raise RunError(
                f"{path}: this run has format {version}, but this version of convnet reads format {FORMAT}; "
                "use the version that wrote it, or train it again from its recipe.yaml"
            )
        return folder

    def remove_checkpoints(self) -> None:
        """Remove what only training longer needs; the weights are in model.safetensors."""
        for file in (self.checkpoint, self.best_checkpoint, self.fitted_checkpoint):
            file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove a run that failed before its first checkpoint; an existing folder is emptied."""
        empty_folder(self.path)
        with suppress(OSError):  # a mount point stays
            self.path.rmdir()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the run for this process; the lock ends with the block or the process.

        Raises:
            RunError: Another process is writing the run, or the folder is not writable.
        """
        lock = FileLock(self.file(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path}: another process is writing this run; wait for it to end") from None
        except OSError as error:
            raise RunError(cannot_write(self.path, error)) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove temporary files of a process that was killed while writing."""
        for folder in (self.path, self.checkpoint.parent, self.file("figures")):
            for leftover in folder.glob(f".*{PART}"):
                leftover.unlink(missing_ok=True)


def _fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the files of a new run, `run.json` last."""
    (folder / "checkpoints").mkdir()
    for name, content in {**files, "run.json": json.dumps({"format": FORMAT})}.items():
        write_atomically(folder / name, content)


LONGEST_NAME = 80
"""The longest part of a file name that is made from a label; names have at most 255 bytes."""


def as_file_name(label: str) -> str:
    """A label turned into a valid file name."""
    return re.sub(r"[^\w.=-]+", "_", label).strip("._")[:LONGEST_NAME] or "run"


def _next_free(parent: Path, stem: str) -> Path:
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    names = [p.name for p in parent.iterdir()] if parent.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    return parent / f"{stem}-{max(taken, default=0) + 1}"


def _occupied(path: Path) -> str:
    way_out = f"continue it with 'convnet resume {path}', or" if (path / "run.json").exists() else ""
    return f"{path} exists and is not empty; {way_out} choose another folder with --out"
