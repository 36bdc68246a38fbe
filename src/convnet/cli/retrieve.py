"""`convnet retrieve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnet.cli.options import DataDir, Json, print_json


def retrieve(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    image: Annotated[str, typer.Argument(help="An image file, or a sample's path as in predictions.csv.")],
    top: Annotated[int, typer.Option(min=1, help="How many images.")] = 10,
    space: Annotated[
        Literal["embedding", "features", "pixels"],
        typer.Option(help="Compare the input of the last layer, a pipeline's features, or pixels."),
    ] = "embedding",
    metric: Annotated[Literal["l1", "l2", "cosine"], typer.Option(help="Distance.")] = "l2",
    data: Annotated[
        str | None, typer.Option(help="Other data to search: a data set or a folder. Default: the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture to write; default: IMAGE-nearest.png here.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Find the images most similar to a given one and draw them."""
    from convnet.atomic import require_picture
    from convnet.runs import as_file_name
    from convnet.workflows import load_run
    from convnet.workflows import retrieve as find

    picture = out or Path(f"{as_file_name(Path(image).stem)}-nearest.png")
    require_picture(picture)
    found = find(load_run(run), image, top=top, space=space, metric=metric, data=data)
    found.draw(picture)
    if as_json:
        matches = [{"path": m.path, "class": m.label, "distance": m.distance} for m in found.matches]
        print_json(
            {"image": image, "space": space, "metric": metric, "matches": matches, "picture": str(picture)}
        )
        return
    for rank, match in enumerate(found.matches, start=1):
        print(f"{rank:>3}  {match.distance:>10.4g}  {match.label:<14} {match.path}")
    print(f"picture {picture}")
