"""`convnet lr-find`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from convnet.cli.options import Json, print_json
from convnet.cli.recipe_options import with_recipe_options


@with_recipe_options
def lr_find(
    data_or_recipe: Annotated[
        str, typer.Argument(help="A data set, a folder of images, a named recipe, or a recipe file.")
    ] = "digits",
    steps: Annotated[int, typer.Option(min=10, help="The largest number of steps.")] = 100,
    lowest: Annotated[float, typer.Option("--from", help="The first learning rate.")] = 1e-6,
    highest: Annotated[float, typer.Option("--to", help="The last learning rate.")] = 10.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("lr-find.png"),
    as_json: Json = False,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Suggest a learning rate: train a few steps while the rate grows, and draw the loss.

    Nothing is stored except the picture.
    """
    from convnet.atomic import require_picture
    from convnet.workflows import resolve
    from convnet.workflows.lr_find import lr_find as find

    require_picture(out)
    found = resolve(data_or_recipe, changes)
    result = find(found.recipe, data=found.data, steps=steps, lowest=lowest, highest=highest)
    result.draw(out)
    if as_json:
        print_json({**result.as_dict(), "picture": str(out)})
        return
    curve = result.curve
    print(f"suggested rate  {curve.suggested:.2g}  (--lr {curve.suggested:.2g})")
    print(f"steepest fall   {curve.steepest:.2g}")
    print(f"recipe's rate   {result.own:.2g}")
    print(f"steps           {len(curve.rates)}, rates {curve.rates[0]:.1g} to {curve.rates[-1]:.2g}")
    print(f"picture         {out}")
