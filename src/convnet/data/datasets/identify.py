"""Identify data by name or path, with one ordered table of formats and one reading of the folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from convnet.data.datasets.image_pairs import INPUT_FOLDERS, TARGET_FOLDERS
from convnet.data.datasets.mask_folder import IMAGE_FOLDERS, MASK_FOLDERS
from convnet.data.datasets.named.catalog import DATASETS
from convnet.data.datasets.npz import holds_images
from convnet.data.datasets.open_images import without_collections
from convnet.data.datasets.pairing import has_folders
from convnet.data.datasets.time_series import is_series_file, is_series_folder, open_series
from convnet.data.files.annotations import is_image_table
from convnet.data.files.coco import is_coco
from convnet.data.files.csv import TABLE_SUFFIXES
from convnet.data.files.manifest import Manifest
from convnet.data.files.recordings import holds_recordings
from convnet.data.files.shards import is_address, is_shard_folder, names_shards, shards_name
from convnet.data.files.storage import Contents, is_archive, open_storage
from convnet.data.images.formats import has_image_name
from convnet.errors import ConvnetError, DataError, UnknownNameError
from convnet.registry import nearest
from convnet.types import Annotation, Modality

logger = logging.getLogger(__name__)

KINDS_OF_FILES = (
    "expected a folder or .zip of images, a table (.csv, .tsv, .parquet), arrays (.npz), COCO annotations "
    "(.json), or series (.arff, .txt)"
)


@dataclass(frozen=True)
class DataSpec:
    """The kind and place of data, before its samples are read.

    Attributes:
        source: The name of a data set, a URL, or an absolute path.
        kind: The name of its format in `DATA_FORMATS`; "named" for a data set known by name.
        modality: The kind of samples.
        path: The file or folder; None for named data sets and URLs.
        contents: The listing of a folder or archive.
        listings: The images with their labels, once they are listed, by label column and whether an image may
            have several labels.
    """

    source: str
    kind: str
    modality: Modality = "images"
    path: Path | None = None
    contents: Contents | None = field(default=None, repr=False)
    listings: dict[tuple[str | None, bool], Manifest] = field(default_factory=dict, repr=False, compare=False)

    @property
    def named(self) -> bool:
        """Whether it is a data set known by name."""
        return self.kind == "named"

    @property
    def file(self) -> Path:
        """The file or folder, for data that has a path."""
        assert self.path is not None, f"{self.kind} has a path"
        return self.path

    @property
    def stem(self) -> str:
        """A short name, used in the names of recipes."""
        if self.named:
            return self.source
        if self.kind == "shards":
            return shards_name(self.source)
        return self.file.name if self.file.is_dir() else self.file.stem

    def annotation(self, label: str | None = None) -> Annotation:
        """The annotation that the data offers by default; for series it depends on the column `label`."""
        if self.named:
            return DATASETS[self.source].annotation
        if holds_recordings(self.contents):
            return "class"
        if self.modality == "series":
            dense = open_series(self.file, label, contents=self.contents).info.target.dense
            return "mask" if dense else "class"
        by_kind: dict[str, Annotation] = {"mask folder": "mask", "pair folder": "pairs"}
        return by_kind.get(self.kind, "class")

    def as_series(self) -> DataSpec:
        """The same file, read as series."""
        return replace(self, kind="series", modality="series")


class Place:
    """A path to identify; every fact about it is looked up once."""

    def __init__(self, word: str) -> None:
        self.path = as_path(word)

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    @cached_property
    def contents(self) -> Contents | None:
        """The listing of a folder or a sound zip archive; None for other files."""
        if not self.is_folder and not is_archive(self.path):
            return None
        try:
            with without_collections():
                return open_storage(self.path).contents()
        except DataError:
            if self.is_folder:
                raise
            return None

    @property
    def suffix(self) -> str:
        """The suffix of a file in lower case."""
        return "" if self.is_folder else self.path.suffix.lower()

    def folder(self, test: Callable[[Contents], bool]) -> bool:
        """Whether it is a folder whose listing passes `test`."""
        return self.is_folder and self.listing(test)

    def listing(self, test: Callable[[Contents], bool]) -> bool:
        """Whether it is a folder or an archive whose listing passes `test`."""
        return self.contents is not None and test(self.contents)


@dataclass(frozen=True)
class Format:
    """A format of data on disk and how it is recognized."""

    kind: str
    matches: Callable[[Place], bool]
    modality: Modality = "images"


DATA_FORMATS = (
    Format("shards", lambda place: place.folder(is_shard_folder)),
    Format("series", lambda place: place.folder(is_series_folder), "series"),
    Format("series", lambda place: not place.is_folder and is_series_file(place.path), "series"),
    Format("image table", lambda place: not place.is_folder and is_image_table(place.path)),
    Format("table", lambda place: place.suffix in TABLE_SUFFIXES, "table"),
    Format("mask folder", lambda place: place.listing(lambda c: has_folders(c, IMAGE_FOLDERS, MASK_FOLDERS))),
    Format(
        "pair folder", lambda place: place.listing(lambda c: has_folders(c, INPUT_FOLDERS, TARGET_FOLDERS))
    ),
    Format("series", lambda place: is_archive(place.path) and place.listing(holds_recordings), "series"),
    Format("archive", lambda place: is_archive(place.path)),
    Format("coco", lambda place: is_coco(place.path)),
    Format("arrays", lambda place: holds_images(place.path)),
    Format("image folder", lambda place: place.is_folder),
)
"""The formats of files and folders; the first that matches applies."""


def identify(word: str) -> DataSpec:
    """Identify data that a user names.

    A folder of images takes precedence over a data set of the same name, with a warning.

    Args:
        word: The name of a data set, a URL, or a path.

    Returns:
        Its kind, path and, for a folder, its listing.

    Raises:
        UnknownNameError: There is no such data set or folder.
        DataError: The path does not exist or has no known format.
    """
    return (local_images(word) if word in DATASETS else None) or identify_source(word)


def local_images(name: str) -> DataSpec | None:
    """The folder of data whose path is the name of a data set or recipe; None if there is none."""
    path = as_path(name)
    if not path.is_dir() or (path / "run.json").exists():
        return None
    spec = identify_source(str(path.absolute()))
    entries = spec.contents.entries if spec.contents is not None else ()
    if spec.kind == "image folder" and not any(has_image_name(entry.name) for entry in entries):
        return None
    logger.warning("'%s' is both a folder and a built-in name; using the folder %s", name, path.absolute())
    return spec


def identify_source(source: str) -> DataSpec:
    """Identify the `data.source` of a recipe: the name of a data set takes precedence over a path.

    Args:
        source: The name of a data set, a URL, or a path.

    Raises:
        UnknownNameError: There is no such data set or folder.
        DataError: The path does not exist or has no known format.
    """
    if source in DATASETS:
        named = DATASETS[source]
        return DataSpec(source, "named", "table" if named.table else "series" if named.series else "images")
    if names_shards(source):
        return DataSpec(source if is_address(source) else str(as_path(source).absolute()), "shards")
    place = Place(source)
    if not place.path.exists():
        raise _not_found(source, place.path)
    known = next((known for known in DATA_FORMATS if known.matches(place)), None)
    if known is None:
        raise DataError(f"{place.path}: unknown kind of data; {KINDS_OF_FILES}")
    path = place.path.resolve()
    logger.debug("%s: %s, %s", path, known.kind, known.modality)
    return DataSpec(str(path), known.kind, known.modality, path, place.contents)


def as_path(word: str) -> Path:
    """A user's word as a path, with ~ expanded.

    Raises:
        DataError: It is not a valid path (unknown user, too long, …).
    """
    try:
        path = Path(word).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"'{word[:80]}': not a valid path: {error}") from None
    return path


def exists(source: str) -> bool:
    """Whether the data exists; URLs are assumed to."""
    return source in DATASETS or names_shards(source) or as_path(source).exists()


def _not_found(source: str, path: Path) -> ConvnetError:
    if "/" in source or path.suffix:
        what = "file" if path.suffix else "folder"
        return DataError(f"{path}: no such {what}")
    return UnknownNameError(f"'{source}' is neither a data set nor a folder{nearest(source, DATASETS)}")
