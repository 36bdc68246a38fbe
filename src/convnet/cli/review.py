"""`convnet review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Json, print_json

SHOWN = 15
"""The number of suspects that are printed."""


def review(
    run: Annotated[Path, typer.Argument(help="The folder of a finished classification run.")],
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Train the network again this many times, instead of only its last layer."),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(help="A CSV of paths and new labels: write a table of corrected labels (labels.csv)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of suspects.csv and the page; with --apply, the new table."),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List images whose label is probably wrong, or write a table of corrected labels.

    Confident learning on probabilities of classifiers that were not trained on the image.
    """
    from convnet.workflows import load_run
    from convnet.workflows.corrections import apply_corrections
    from convnet.workflows.progress import shown_progress
    from convnet.workflows.review import review_labels

    loaded = load_run(run)
    if apply is not None:
        table = out or Path("labels.csv")
        done = apply_corrections(loaded, apply, table)
        if as_json:
            print_json({"table": str(table), **done._asdict()})
        else:
            counts = f"labels changed: {done.changed:,}, images left out: {done.removed:,}"
            print(f"{counts}  → {table}\ntrain on it: convnet train {table}")
        return
    with shown_progress(folds is not None) as listeners:
        found = review_labels(loaded, folds=folds, listeners=listeners)
    if as_json:
        if out is not None:
            found.write(out)
        print_json(found.as_dict())
        return
    page = found.write(out or run / "review")
    print(f"{len(found.suspects):,} of {found.reviewed:,} labels are probably wrong")
    for suspect in found.suspects[:SHOWN]:
        print(f"{suspect.doubt:.3f}  {suspect.label} → {suspect.suggested}  {suspect.path} ({suspect.split})")
    if len(found.suspects) > SHOWN:
        print(f"… {len(found.suspects) - SHOWN:,} more in {page.with_name('suspects.csv')}")
    print(f"page  {page}")
