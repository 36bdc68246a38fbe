"""Shards: tar archives of images and labels in the layout of WebDataset, local or at any fsspec address."""

from __future__ import annotations

import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, Sample, make_manifest
from convnet.data.files.storage import Contents, FileEntry, Ignored
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError, in_one_line
from convnet.types import SplitName

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LABEL_SUFFIXES = (".cls", ".json", ".txt")
LABEL_KEYS = ("label", "labels", "class", "cls", "tags")
"""Where a .json member says the label."""
CLASS_NAMES = "classes.txt"
"""Beside the shards, the names of numbered classes, one in each line."""
MOST_SHARDS = 100_000
RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")
"""The first and last number of a range in an address."""
SPLIT_NAME = re.compile(rf"^({'|'.join(SPLIT_FOLDERS)})[-_.]", re.IGNORECASE)
SEPARATOR = "|"


@dataclass
class Member:
    """An image within a shard: where its bytes begin, and how many there are."""

    shard: str
    offset: int
    size: int


class ShardStorage:
    """The images of tar archives, each read by its place within its archive."""

    def __init__(self, address: str, system: AbstractFileSystem) -> None:
        self.root = Path(address)
        self.remote = is_address(address)
        self._system = system
        self._members: dict[str, Member] = {}

    def add(self, name: str, member: Member) -> None:
        """Remember where an image is."""
        self._members[name] = member

    def shard_of(self, name: str) -> str:
        """The archive that contains an image."""
        return self._members[name].shard

    def read(self, name: str) -> bytes:
        """The bytes of an image."""
        member = self._members[name]
        try:
            content = self._system.cat_file(
                member.shard, start=member.offset, end=member.offset + member.size
            )
        except Exception as error:  # file systems raise nearly anything
            raise DataError(f"{name}: cannot be read: {in_one_line(error)}") from error
        if len(content) != member.size:
            raise DataError(
                f"{name}: cannot be read: received {len(content):,} of {member.size:,} bytes; the server "
                "must support range requests, or copy the shards to this machine"
            )
        return bytes(content)


@dataclass
class _Parts:
    """The members of one sample."""

    image: tuple[str, Member] | None = None
    others: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def is_address(name: str) -> bool:
    """Whether it is a URL: s3://…, https://…"""
    return "://" in name


def names_shards(word: str) -> bool:
    """Whether a word can only mean tar archives: an address, a .tar file or a pattern of some."""
    return is_address(word) or word.endswith(".tar")


def is_shard_folder(contents: Contents) -> bool:
    """Whether a folder holds tar archives and no folders."""
    return not contents.folders and any(entry.name.endswith(".tar") for entry in contents.entries)


def shards_name(address: str) -> str:
    """A short name for shards: "train" for s3://photos/train-{000..015}.tar, or else their folder's name."""
    path = PurePosixPath(address)
    return re.sub(r"[-_.]?[{*].*$", "", path.name.removesuffix(".tar")) or path.parent.name or "shards"


def list_shards(address: str, *, multi_label: bool) -> Manifest:
    """The samples of shards: members of one name up to its first dot, an image and a label.

    The label is a member .cls (a number, or a name), .txt (several with | between them) or .json (its field
    label, labels, class or tags). The archives' headers and labels are read, images only when they are
    needed. Names that begin with train-, val- or test- are splits, and so are folders of that name.

    Raises:
        DataError: an archive is missing or damaged, or a sample has no label.
    """
    system, shards = _expanded(address)
    store = ShardStorage(address, system)
    names = _class_names(system, shards[0])
    samples: list[Sample] = []
    ignored: list[Ignored] = []
    root = os.path.commonpath([PurePosixPath(shard).parent for shard in shards])
    for shard in shards:
        place = PurePosixPath(shard).relative_to(root)
        split, state = _split_of(place), _state(system, shard)
        for key, parts in _grouped(system, shard):
            ignored += [Ignored(f"{place}/{other}", "not the image of its sample") for other in parts.others]
            if parts.image is None:
                ignored.append(Ignored(f"{place}/{key}", "has no image"))
                continue
            labels = tuple(sorted({_name_of(label, names, shard) for label in parts.labels}))
            if not multi_label and len(labels) != 1:
                raise DataError(
                    f"{shard}: sample {key} has {len(labels)} labels, not one; expected a member {key}.cls, "
                    ".txt or .json, or use --task multi-label"
                )
            path, member = parts.image
            store.add(f"{place}/{path}", member)
            stamp = zlib.crc32(f"{state} {member.offset}".encode())
            samples.append(Sample(FileEntry(f"{place}/{path}", member.size, stamp), labels, split))
    if not samples:
        raise DataError(f"{address}: holds no images{_dotted(ignored)}")
    return make_manifest(shards_name(address), store, samples, ignored=ignored, multi_label=multi_label)


def shard_images(address: str) -> tuple[ShardStorage, list[str]]:
    """The images of shards without their labels, and their names in order.

    Raises:
        DataError: An archive is missing or damaged.
    """
    system, shards = _expanded(address)
    store, names = ShardStorage(address, system), []
    for shard in shards:
        for _, parts in _grouped(system, shard):
            if parts.image is not None:
                name = f"{shard}/{parts.image[0]}"
                store.add(name, parts.image[1])
                names.append(name)
    return store, names


def _dotted(ignored: Sequence[Ignored]) -> str:
    """The first member that is an image by its last suffix, but not by all that follows the first dot."""
    name = next((i.name.rpartition("/")[2] for i in ignored if has_image_name(i.name)), None)
    if name is None:
        return ""
    suffix = name.partition(".")[2]
    stem, _, last = name.rpartition(".")
    return (
        f": the suffix of '{name}' is '{suffix}', which begins at its first dot, as in WebDataset; "
        f"rename it, for example to {stem.replace('.', '_')}.{last}, and its label alike"
    )


def _split_of(place: PurePosixPath) -> SplitName | None:
    """The split given by the name of a shard or of its folder."""
    found = SPLIT_NAME.match(place.name)
    words = [found.group(1)] if found else place.parent.parts
    return next((SPLIT_FOLDERS[word.lower()] for word in words if word.lower() in SPLIT_FOLDERS), None)


def _state(system: AbstractFileSystem, shard: str) -> str:
    """Something that changes with the file."""
    try:
        return str(system.ukey(shard))
    except Exception:  # file systems raise nearly anything; the places within it change mostly, too
        return ""


def _expanded(address: str) -> tuple[AbstractFileSystem, list[str]]:
    """The file system of an address, and the shards that it names, sorted."""
    import fsspec
    from braceexpand import braceexpand

    if not address.endswith(".tar"):
        address = f"{address.rstrip('/')}/*.tar"
    too_many = DataError(f"{address}: stands for more than {MOST_SHARDS:,} shards")
    try:
        # Looked at first, because braceexpand lists a whole range in memory.
        if any(abs(int(end) - int(start)) >= MOST_SHARDS for start, end in RANGE.findall(address)):
            raise too_many
        patterns = list(islice(braceexpand(address), MOST_SHARDS + 1))
        if len(patterns) > MOST_SHARDS:
            raise too_many
        system, _ = fsspec.core.url_to_fs(patterns[0])
        shards: list[str] = []
        for pattern in patterns:
            _, path = fsspec.core.url_to_fs(pattern)
            found = sorted(system.glob(path)) if "*" in path else [path] if system.exists(path) else []
            if not found:
                raise DataError(f"{pattern}: no such shard")
            shards += found
    except DataError:
        raise
    except Exception as error:  # file systems raise nearly anything
        raise DataError(f"{address}: cannot be opened: {in_one_line(error)}") from error
    return system, shards


def _grouped(system: AbstractFileSystem, shard: str) -> Iterator[tuple[str, _Parts]]:
    """The samples of a shard, in order."""
    samples: dict[str, _Parts] = {}
    try:
        with system.open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                if not member.isfile() or base.startswith("."):
                    continue
                stem, dot, suffix = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                parts = samples.setdefault(key, _Parts())
                if has_image_name(base):
                    if parts.image is not None or "." in suffix:  # as in 0001.seg.png
                        parts.others.append(member.name)
                    else:
                        parts.image = (member.name, Member(shard, member.offset_data, member.size))
                elif dot + suffix.lower() in LABEL_SUFFIXES:
                    content = archive.extractfile(member)
                    parts.labels += _labels(suffix.lower(), content.read() if content else b"")
    except tarfile.TarError as error:
        raise DataError(
            f"{shard}: not a readable tar archive (which must not be compressed): {in_one_line(error)}"
        ) from error
    except Exception as error:  # file systems raise nearly anything
        raise DataError(f"{shard}: cannot be read: {in_one_line(error)}") from error
    yield from samples.items()


def _labels(suffix: str, content: bytes) -> list[str]:
    text = content.decode("utf-8", "replace").strip()
    if suffix != "json":
        return [part.strip() for part in text.split(SEPARATOR) if part.strip()]
    document: Any = json.loads(text)
    value = document
    if isinstance(document, dict):
        value = next((document[key] for key in LABEL_KEYS if key in document), [])
    return [str(label) for label in (value if isinstance(value, list) else [value])]


def _class_names(system: AbstractFileSystem, shard: str) -> list[str]:
    """The names of classes that are numbered; none where no file says them."""
    path = f"{shard.rpartition('/')[0]}/{CLASS_NAMES}"
    if not system.exists(path):
        return []
    try:
        return [str(line) for line in system.cat_file(path).decode().splitlines() if line.strip()]
    except Exception as error:  # file systems raise nearly anything
        raise DataError(f"{path}: cannot be read: {in_one_line(error)}") from error


def _name_of(label: str, names: list[str], shard: str) -> str:
    if not names or not label.isdigit():
        return label
    if int(label) >= len(names):
        raise DataError(f"{shard}: class number {label}, but {CLASS_NAMES} names {len(names)}")
    return names[int(label)]
