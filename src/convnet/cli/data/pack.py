"""`convnet data pack`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import Label, Labels, Set, overrides


def pack(
    data: Annotated[str, typer.Argument(help="A folder, .zip or table of images.")],
    size: Annotated[int | None, typer.Option(min=1, help="Image size. Default: as 'convnet train'.")] = None,
    label: Label = None,
    task: Labels = None,
    set_: Set = None,
) -> None:
    """Decode and resize all images into the cache that training with these settings uses."""
    from convnet.data import ImageDataset
    from convnet.device import keep_freed_memory
    from convnet.errors import DataError
    from convnet.recipes import open_recipe_data
    from convnet.workflows import resolve
    from convnet.workflows.progress import WorkProgress

    keep_freed_memory()
    fields = {"preprocess.image_size": size, "data.label": label}
    chosen = overrides(set_, task=task, **fields)
    with WorkProgress("caching") as progress:
        found = resolve(data, chosen)
        dataset = open_recipe_data(found.recipe, found.data)
        if not isinstance(dataset, ImageDataset):
            raise DataError(f"{data}: already in memory; only image files are cached")
        made = dataset.files.build(dataset.rows.numpy(), progress.over)
    readable = int((made.state == 1).sum())
    print(f"{readable:,} images of {dataset.info.shape}, {made.nbytes / 1e6:,.1f} MB  {made.folder}")
