"""`convnet data split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Label, Labels, Set, section_options


def split(
    data: Annotated[str, typer.Argument(help="A folder, .zip or table of images; a named set.")],
    val: Annotated[float | None, typer.Option(help="Validation fraction.")] = None,
    test: Annotated[float | None, typer.Option(help="Test fraction.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Assign fold numbers 0…k−1 instead of splits, for use with other tools."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of the split; default: 0.")] = None,
    label: Label = None,
    task: Labels = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file to write; default: standard output.")
    ] = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Split a data set and write a table: path, label, split, group. Copies and groups stay together.

    The table of a folder or a table of images can itself be trained on: 'convnet train' follows its splits.
    Images with masks or partners have no label; their split is given by folders train/, val/ and test/.
    """
    import sys

    from convnet.atomic import write_atomically
    from convnet.data import ImageDataset, SplitOptions, open_data
    from convnet.data.splits.split_csv import split_table
    from convnet.errors import RecipeError
    from convnet.recipes.defaults import ANNOTATION_FOR
    from convnet.recipes.overrides import set_once
    from convnet.registry import validate
    from convnet.targets import IMAGE, MASK

    annotation = ANNOTATION_FOR.get(task)
    sections = section_options(set_, "data", "split")
    for name, value in {"val": val, "test": test, "seed": seed}.items():
        if value is not None:
            set_once(sections["split"], name, value)
    options = validate(SplitOptions, sections["split"], "split")
    if folds is not None and (options.val is not None or options.test is not None):
        raise RecipeError("--val and --test do not apply with --folds, where every sample is in a fold")
    dataset = open_data(annotation=annotation, **{**sections["data"], "source": data, "label": label})
    text, remarks = split_table(dataset, options, folds, base=out.absolute().parent if out else Path.cwd())
    for line in (*dataset.info.warnings, *remarks, *dataset.info.unreadable):
        print(line, file=sys.stderr)
    if dataset.info.target in (MASK, IMAGE):
        print(
            "'convnet train' takes this split from folders train/, val/ and test/, not from a table",
            file=sys.stderr,
        )
    if isinstance(dataset, ImageDataset) and not dataset.files.manifest.store.root.is_dir():
        print(
            f"paths in the table are relative to {data}; 'convnet train' cannot read them from the table",
            file=sys.stderr,
        )
    if out is None:
        sys.stdout.write(text)
        return
    write_atomically(out, text)
    print(f"{len(dataset):,} samples  {out}")
