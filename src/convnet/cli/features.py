"""`convnet features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir


def features(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Other data: a data set or a folder. Default: the run's own.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .parquet, .csv or .npz file.")] = Path(
        "codes.parquet"
    ),
    data_dir: DataDir = None,
) -> None:
    """Write embeddings to a file: an autoencoder's codes or a classifier's last hidden layer."""
    from convnet.workflows import embed_data, load_run

    codes = embed_data(load_run(run), data, out)
    print(f"{len(codes):,} samples × {codes.shape[1]} features  → {out}")
