"""`convnet retrieve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnet.cli.options import DataDir, Json, print_json


def retrieve(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_DATA", help="The folder of a finished run; or photos, with or without classes."
        ),
    ],
    image: Annotated[str, typer.Argument(help="An image file, or a sample's path as in predictions.csv.")],
    top: Annotated[int, typer.Option(min=1, help="How many images.")] = 10,
    space: Annotated[
        Literal["embedding", "features", "pixels"],
        typer.Option(help="Compare the input of the last layer, a pipeline's features, or pixels."),
    ] = "embedding",
    metric: Annotated[
        Literal["l1", "l2", "cosine"] | None,
        typer.Option(help="Distance. Default: l2; cosine for photos without a run."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Other data to search: a data set or a folder. Default: the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture to write; default: IMAGE-nearest.png here.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Find the images most similar to a given one and draw them.

    Without a run, photos are compared by the embedding of a network with ImageNet weights.
    """
    from convnet.api import retrieve as find
    from convnet.atomic import require_picture
    from convnet.runs import as_file_name

    picture = out or Path(f"{as_file_name(Path(image).stem)}-nearest.png")
    require_picture(picture)
    found = find(run, image, top=top, space=space, metric=metric, data=data)
    found.draw(picture)
    if as_json:
        matches = [{"path": m.path, "class": m.label, "distance": m.distance} for m in found.matches]
        about = {"image": image, "space": space, "metric": found.metric}
        print_json({**about, "matches": matches, "picture": str(picture)})
        return
    for rank, match in enumerate(found.matches, start=1):
        print(f"{rank:>3}  {match.distance:>10.4g}  {match.label:<14} {match.path}")
    print(f"picture {picture}")
