"""`convnet compare`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from convnet.cli.options import DataDir, Device, Epochs, Json, Out, Set, Threads, overrides, print_json


def compare(
    recipe: Annotated[str, typer.Argument(help="A recipe, a data set, a folder, or a recipe file.")],
    vary: Annotated[
        list[str], typer.Option(metavar="KEY=A,B,C", help="A field and the values to compare; repeatable.")
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Runs per variant, each with its own seed.")] = 1,
    epochs: Epochs = None,
    set_: Set = None,
    out: Out = None,
    data_dir: DataDir = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Train variants of a recipe and compare them in one table and one page."""
    from convnet.cli.progress import TrainingProgress
    from convnet.workflows import choose_recipe
    from convnet.workflows import compare as compare_variants

    base = choose_recipe(recipe, overrides(set_, epochs=epochs))
    with TrainingProgress() as progress:
        comparison = compare_variants(base, parse_variants(vary), seeds=seeds, out=out, listeners=[progress])
    if as_json:
        print_json(
            {
                "page": str(comparison.page),
                "picture": str(comparison.page.with_suffix(".png")),
                "variants": comparison.summary,
            }
        )
        return
    width = max(len(row["variant"]) for row in comparison.summary)
    score = comparison.score
    style = ".2f" if score.decibels else ".2%"
    test, val = (f"{split} {score.label}" for split in ("test", "val"))
    print(f"{'':<{width}}  {test:>20}  {val:>20}  {'train loss':>17}  {'seconds':>8}")
    for row in comparison.summary:
        print(
            f"{row['variant']:<{width}}  {_spread(row[f'test.{score.key}'], style):>20}  "
            f"{_spread(row[f'val.{score.key}'], style):>20}  {_spread(row['train.loss'], '.4f'):>17}  "
            f"{row['seconds']['mean']:>8.1f}"
        )
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


def _spread(value: dict[str, float] | None, style: str) -> str:
    if value is None:
        return "–"
    deviation = f" ± {value['std']:{style}}" if value["std"] else ""
    return f"{value['mean']:{style}}{deviation}"
