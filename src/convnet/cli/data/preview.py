"""`convnet data preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Label, Labels, Set, overrides


def preview(
    data: Annotated[str, typer.Argument(help="A recipe, or data as for 'convnet train'.")],
    count: Annotated[int, typer.Option(min=1, max=24, help="How many images.")] = 6,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the images and their augmentation.")
    ] = None,
    label: Label = None,
    task: Labels = None,
    set_: Set = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="PNG file; default: NAME-preview.png.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Draw training images, the three resize policies and augmented versions."""
    from convnet.workflows import resolve
    from convnet.workflows.preview import draw_preview

    chosen = overrides(set_, task=task, seed=seed, **{"data.label": label})
    found = resolve(data, chosen)
    target = out or Path(f"{found.recipe.name}-preview.png")
    draw_preview(found.recipe, count, target, found.data)
    print(target)
