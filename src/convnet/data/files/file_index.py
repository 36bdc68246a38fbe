"""Find the image files that a table names by an id: without folder or suffix, with other zeros in front."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from convnet.data.images.formats import has_image_name
from convnet.errors import DataError


class FileIndex:
    """Image files by the forms in which a table may name them."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        """Index files.

        Args:
            names: Lists their paths, with slashes; called when the first file is searched for.
        """
        self._names = names

    def find(self, text: str) -> str | None:
        """The file that a cell names; None if there is none.

        Args:
            text: A path, with or without a suffix, or an id. Leading zeros may differ.

        Raises:
            DataError: Several files have that name.
        """
        for found in self._candidates(unicodedata.normalize("NFC", text)):
            if len(found) > 1:
                raise DataError(
                    f"'{text}' may be {found[0]} or {found[1]}; write the paths of the files into the table"
                )
            if found:
                return found[0]
        return None

    @cached_property
    def _forms(self) -> dict[str | int, list[str]]:
        forms: dict[str | int, list[str]] = defaultdict(list)
        for name in self._names():
            if not has_image_name(name):
                continue
            path = unicodedata.normalize("NFC", name)
            stem = path.rpartition(".")[0]
            for form in {path, stem, path.rpartition("/")[2], stem.rpartition("/")[2]}:
                forms[form].append(name)
            if (number := _number(stem.rpartition("/")[2])) is not None:
                forms[number].append(name)
        return forms

    def _candidates(self, text: str) -> Iterator[list[str]]:
        """The files that fit a cell, from the closest to the loosest form."""
        last = text.rpartition("/")[2]
        stem = last.rpartition(".")[0] if has_image_name(last) else last
        for form in (text, last, stem, _number(stem)):
            if form is not None and form != "":
                yield self._forms.get(form, [])


def images_near(folder: Path) -> Iterator[str]:
    """The images in a folder and in its subfolders, by their paths below it."""
    for path in (*folder.iterdir(), *folder.glob("*/*")):
        if has_image_name(path.name):
            yield path.relative_to(folder).as_posix()


def _number(text: str) -> int | None:
    """An id as a number: 7 for 0007."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


NO_FILES = FileIndex(tuple)
