"""`convnet compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from convnet.cli.options import Json, Out, print_json
from convnet.cli.recipe_options import with_recipe_options


@with_recipe_options
def compare(
    recipe: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE | RUN RUN…", help="A recipe, data or a recipe file; or runs to compare."
        ),
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B,C", help="A field and the values to compare; repeatable."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per variant, each with its own seed.")] = 1,
    out: Out = None,
    as_json: Json = False,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Train variants of a recipe, or take runs that exist, and compare them in one table and one page."""
    from convnet.errors import RecipeError
    from convnet.workflows import choose_recipe, compare_runs
    from convnet.workflows import compare as compare_variants
    from convnet.workflows.progress import TrainingProgress

    if vary is None:
        if len(recipe) < 2:
            raise RecipeError("nothing to compare; use --vary optimizer=adam,sgd, or name two or more runs")
        if changes or seeds > 1:
            raise RecipeError("options of a recipe do not apply to runs that exist")
        comparison = compare_runs([Path(word) for word in recipe], out)
    else:
        if len(recipe) > 1:
            raise RecipeError(f"--vary applies to one recipe, got {len(recipe)}")
        base = choose_recipe(recipe[0], changes)
        with TrainingProgress() as progress:
            comparison = compare_variants(
                base, parse_variants(vary), seeds=seeds, out=out, listeners=[progress]
            )
    if as_json:
        print_json(
            {
                "page": str(comparison.page),
                "picture": str(comparison.page.with_suffix(".png")),
                "variants": comparison.summary,
                "diagnosis": [finding.as_dict() for finding in comparison.diagnosis],
            }
        )
        return
    print(comparison)
    print(f"\npage     {comparison.page}\npicture  {comparison.page.with_suffix('.png')}")


def parse_variants(entries: list[str]) -> dict[str, list[Any]]:
    """["optimizer=adam,sgd"] → {"optimizer": ["adam", "sgd"]}: YAML values, split at top-level commas."""
    from convnet.errors import RecipeError
    from convnet.models.grammar.parse_pipeline import split_outside
    from convnet.recipes import parse_assignments

    varied: dict[str, list[Any]] = {}
    for entry in entries:
        key, _, values = entry.partition("=")
        if key in varied:
            raise RecipeError(f"--vary {key} is given twice; list all its values in one option")
        parts = split_outside(values, ",") if values.strip() else []
        if not all(part.strip() for part in parts):
            raise RecipeError(f"--vary {entry}: empty value; write null for none")
        varied[key] = [parse_assignments([f"{key}={part}"])[key.strip()] for part in parts]
    return varied
