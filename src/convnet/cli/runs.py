"""`convnet runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnet.cli.options import Json, print_json

Column = Literal["name", "data", "model", "epochs", "score", "bytes", "date", "state"]


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder of the runs.")] = Path("runs"),
    sort: Annotated[Column, typer.Option(help="The column to sort by.")] = "date",
    as_json: Json = False,
) -> None:
    """List finished and unfinished runs, newest or best first."""
    from convnet.errors import RunError
    from convnet.workflows.listing import list_runs

    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; 'convnet train' writes runs into runs/")
    rows = list_runs(folder)
    if sort != "date":
        descending = sort in ("score", "bytes", "epochs")
        rows.sort(
            key=lambda row: (value := getattr(row, sort)) is None or (-value if descending else value),
        )
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    if not rows:
        print(f"no runs in {folder}")
        return
    cells = [["run", "data", "model", "epochs", "score", "size", "date", "state"]]
    for row in rows:
        score = (
            "–"
            if row.score is None
            else f"{row.score:.2f} dB"
            if row.metric == "PSNR"
            else f"{row.score:.2%}"
        )
        epochs = f"{row.epochs}/{row.planned}" if row.planned else "–"
        size = f"{row.bytes / 1e6:.1f} MB"
        cells.append([row.name, row.data, row.model, epochs, score, size, row.date[:16], row.state])
    widths = [max(len(line[i]) for line in cells) for i in range(7)]
    for line in cells:
        print("  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[7]]))
