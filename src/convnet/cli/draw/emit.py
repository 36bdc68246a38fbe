"""Print a worked example and write its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet.cli.options import print_json

if TYPE_CHECKING:
    from convnet.concepts import Concept

SUFFIXES = (".svg", ".png", ".pdf")


def writable(path: Path | None) -> Path | None:
    """The path of a picture, once it is known that it can be written."""
    from convnet.atomic import require_picture

    if path is not None:
        require_picture(path, *SUFFIXES)
    return path


Picture = Annotated[
    Path | None,
    typer.Option("--out", "-o", callback=writable, help="Picture to write: .svg, .png or .pdf."),
]


def emit(found: Concept, out: Path | None, *, as_json: bool, default: str | None = None) -> None:
    """Write the picture, and print the numbers as text or JSON.

    Args:
        found: The example.
        out: The picture; None for the default.
        as_json: Whether to print JSON; then only `out` is written.
        default: The picture that is written if none is named.
    """
    path = out or (Path(default) if default and not as_json else None)
    if path is not None:
        from convnet.reports.drawings.draw import draw

        draw(found, path)
    if as_json:
        print_json(found.to_dict() | ({"picture": str(path)} if path else {}))
        return
    print(found)
    if path is not None:
        print(f"picture {path}")
