"""`convnet predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import Json, print_json


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    images: Annotated[list[Path], typer.Argument(help="Image files; tables (.csv) for a run of a table.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print per image.")] = 3,
    as_json: Json = False,
) -> None:
    """Print the most probable classes of images."""
    from convnet.experiments import load_run

    predictions = load_run(run).predict(images)
    if as_json:
        print_json(
            [
                {
                    "image": p.path,
                    "class": p.classes[0],
                    "probabilities": dict(zip(p.classes, p.probabilities, strict=True)),
                }
                for p in predictions
            ]
        )
        return
    for prediction in predictions:
        best = list(zip(prediction.classes, prediction.probabilities, strict=True))[:top]
        print(f"{prediction.path}  " + "  ".join(f"{name} {share:.1%}" for name, share in best))
