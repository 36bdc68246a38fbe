"""`convnet recipes list` and `convnet recipes show`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import Json, Set, overrides, print_json

app = typer.Typer(help="Named recipes.", no_args_is_help=True)


@app.command("list")
def list_recipes(as_json: Json = False) -> None:
    """List the named recipes and the test metrics measured with each."""
    from convnet.recipes import RECIPES, task_of

    if as_json:
        print_json([{"name": n, "summary": r.summary, "expected": r.expected} for n, r in RECIPES.items()])
        return
    width = max(map(len, RECIPES))
    for name, recipe in RECIPES.items():
        score = task_of(recipe.build()).score.label
        print(f"{name:<{width}}  {recipe.summary}\n{'':<{width}}  test {score} {recipe.expected}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A recipe, a data set, a folder, or a recipe file.")],
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Print a complete recipe as YAML, to save, change and train."""
    from convnet.workflows import choose_recipe

    recipe = choose_recipe(name, overrides(set_))
    if as_json:
        print_json(recipe.to_dict())
    else:
        print(recipe.to_yaml(), end="")
