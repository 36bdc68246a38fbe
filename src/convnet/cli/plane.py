"""`convnet plane`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.compare import parse_variants
from convnet.cli.options import Epochs, Json, Set, overrides, print_json


def plane(
    data: Annotated[
        str, typer.Option(help="circles, moons, spiral, corner, blobs, or a table with two columns.")
    ] = "moons",
    model: Annotated[str | None, typer.Option(help="mlp, linear, knn, 'polar -> linear', …")] = None,
    vary: Annotated[
        list[str] | None, typer.Option(metavar="KEY=A,B,C", help="A field and its values; one panel each.")
    ] = None,
    warp: Annotated[
        bool,
        typer.Option("--warp", help="Also draw the points as two hidden units or polar features map them."),
    ] = False,
    epochs: Epochs = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of weights and order.")] = None,
    set_: Set = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("plane.png"),
    as_json: Json = False,
) -> None:
    """Train models on points in the plane and draw their decision regions.

    For example: --vary "model.hidden=[3],[6],[20]" for capacity, --model knn --vary model.k=1,5,15.
    """
    from convnet.workflows import plane as draw_plane

    models = draw_plane(
        data,
        overrides=overrides(set_, model=model, epochs=epochs, seed=seed),
        vary=parse_variants(vary or []),
        warp=warp,
        out=out,
    )
    if as_json:
        rows = [
            {"label": m.label, "model": m.recipe.to_dict()["model"], "accuracy": m.accuracy} for m in models
        ]
        print_json({"data": data, "picture": str(out), "models": rows})
        return
    for m in models:
        print(f"{m.label:<28} {m.accuracy:.2%} of held-out points correct")
    print(f"picture {out}")
