"""`convnet data list` and `convnet data get`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import DataDir, Json, print_json


def list_sets(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the data sets and show which are on this machine."""
    from convnet.data.datasets.named.catalog import DATASETS, locate

    rows = [
        {"name": s.name, "title": s.title, "classes": len(s.classes), "place": locate(s.name)}
        for s in DATASETS.values()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        place = row["place"] or f"not here; convnet data get {row['name']}"
        print(f"{row['name']:<14} {row['title']:<56} {place}")


def get(
    name: Annotated[str, typer.Argument(help="A name that 'convnet data list' prints.")],
    data_dir: DataDir = None,
) -> None:
    """Find a data set or download it into the cache, and check that it can be read."""
    from convnet.data.datasets.named.catalog import locate, named_set

    dataset = named_set(name)
    place = locate(name)
    info = dataset.info
    print(f"{name}: {len(dataset):,} images of {info.shape}, {len(info.classes)} classes, {place}")
