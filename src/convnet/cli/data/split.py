"""`convnet data split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Label, Labels


def split(
    data: Annotated[str, typer.Argument(help="A folder, .zip or table of images; a named set.")],
    val: Annotated[float | None, typer.Option(help="Share that is held out to watch training.")] = None,
    test: Annotated[float | None, typer.Option(help="Share that is held out to the end.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, help="Number the samples 0…k−1 instead, for other tools; 'train --folds' does it itself."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    label: Label = None,
    task: Labels = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file to write; default: standard output.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Split images, copies and groups kept together, and write a table: path, label, split, group.

    Of images in a folder or a table it is data in its own right: 'convnet train' follows its splits.
    """
    import sys

    from convnet.atomic import write_atomically
    from convnet.data import ImageDataset, SplitOptions, open_data
    from convnet.data.splits.split_csv import split_table
    from convnet.errors import RecipeError
    from convnet.registry import validate

    if folds is not None and (val is not None or test is not None):
        raise RecipeError("--val and --test do not apply: with --folds every sample is in a fold")
    dataset = open_data(data, label=label, annotation="labels" if task == "multi-label" else "class")
    for line in (*dataset.info.warnings, *dataset.info.unreadable):
        print(line, file=sys.stderr)
    values = {"val": val, "test": test, "seed": seed}
    options = validate(SplitOptions, {k: v for k, v in values.items() if v is not None}, "split")
    text = split_table(dataset, options, folds, base=out.absolute().parent if out else Path.cwd())
    if isinstance(dataset, ImageDataset) and not dataset.files.manifest.store.root.is_dir():
        print(
            f"its paths are those within {data}, which training on the table would not find", file=sys.stderr
        )
    if out is None:
        sys.stdout.write(text)
        return
    write_atomically(out, text)
    print(f"{len(dataset):,} samples  {out}")
