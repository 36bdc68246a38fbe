"""Compare variants of a recipe over several seeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import cannot_write, write_atomically
from convnet.device import default_device
from convnet.errors import RecipeError, RunError
from convnet.recipes import Recipe, override, task_of
from convnet.reports.compare_page import Variant
from convnet.runs import as_file_name
from convnet.settings import settings
from convnet.tasks import Score
from convnet.training import Listener
from convnet.workflows.run import Run
from convnet.workflows.train import require_buildable, resolve_environment, train_or_resume


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        runs: The runs of each variant, by label.
        page: The path of compare.html.
        summary: Mean and standard deviation of each figure, one entry per variant.
        score: The main metric.
    """

    runs: Mapping[str, Sequence[Run]]
    page: Path
    summary: Sequence[Mapping[str, Any]]
    score: Score


def compare(
    recipe: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    out: Path | None = None,
    listeners: Sequence[Listener] = (),
) -> Comparison:
    """Train every combination of the values in `vary` with several seeds.

    Finished runs of the same recipe are reused and unfinished ones resumed, so an interrupted comparison
    continues where it stopped.

    Args:
        recipe: The recipe that the variants share.
        vary: The values of each varied field.
        seeds: Runs per variant; the seeds count from the recipe's own.
        out: The folder of the runs, `compare.html`, `compare.png` and `compare.json`. Default:
            runs/NAME-compare.
        listeners: Callables that receive every event.

    Returns:
        The runs, the page and the summary.

    Raises:
        RecipeError: A variant is not a valid recipe; all are checked before the first is trained.
        ConvnetError: As for `train`.
    """
    if not vary or not all(vary.values()):
        raise RecipeError("nothing to compare; give a field and its values: --vary optimizer=adam,sgd")
    folder = (out or Path("runs") / f"{as_file_name(recipe.name)}-compare").absolute()
    recipe = resolve_environment(recipe, settings().device or default_device(), folder)
    variants_of = _variants(recipe, vary)
    _require_distinct([label for label, _ in variants_of])
    planned = {
        label: [override(variant, {"seed": variant.seed + i}) for i in range(seeds)]
        for label, variant in variants_of
    }
    for label, recipes in planned.items():
        settled = require_buildable(recipes[0])[0]
        planned[label] = [override(settled, {"seed": each.seed}) for each in recipes]
    runs: dict[str, list[Run]] = {label: [] for label in planned}
    # Seed by seed, so that an interrupted comparison has something of every variant.
    for i in range(seeds):
        for label, recipes in planned.items():
            path = folder / f"{as_file_name(label)}-seed{recipes[i].seed}"
            runs[label].append(train_or_resume(path, recipes[i], listeners=listeners, label=label))
    variants = [
        Variant(
            label, [r.result for r in done], [r.metrics for r in done], _flatten(done[0].recipe.to_dict())
        )
        for label, done in runs.items()
    ]
    from convnet.reports.compare_page import write_compare_report  # matplotlib, once training is done

    score = task_of(recipe).score
    title = f"{recipe.name}: {', '.join(vary)} compared"
    try:
        summary = _summary(variants, score.key)
        write_atomically(folder / "compare.json", json.dumps(summary, indent=2, ensure_ascii=False))
        page = write_compare_report(folder, title, variants, score)
    except OSError as error:
        raise RunError(cannot_write(folder, error)) from error
    return Comparison(runs, page, summary, score)


def _require_distinct(labels: Sequence[str]) -> None:
    for names in (labels, [as_file_name(label) for label in labels]):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RecipeError(f"two variants have the name '{twice[0]}'; give each value once")


def _variants(recipe: Recipe, vary: Mapping[str, Sequence[Any]]) -> list[tuple[str, Recipe]]:
    """Labels and recipes; the label of a single varied field is its value."""
    variants = []
    for values in itertools.product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        label = str(values[0]) if len(vary) == 1 else ", ".join(f"{k}={v}" for k, v in chosen.items())
        variants.append((label, override(recipe, chosen)))
    return variants


def _summary(variants: Sequence[Variant], score: str) -> list[dict[str, Any]]:
    """Mean and standard deviation of each figure, and the runs of each variant."""
    figures = {
        "train.loss": ("train", "loss"),
        "val.loss": ("val", "loss"),
        f"val.{score}": ("val", score),
        "test.loss": ("test", "loss"),
        f"test.{score}": ("test", score),
        "seconds": ("seconds",),
        "images_per_second": ("images_per_second",),
    }
    rows = []
    for variant in variants:
        row: dict[str, Any] = {"variant": variant.label, "seeds": len(variant.results)}
        for name, path in figures.items():
            spread = variant.spread(*path)
            row[name] = None if spread is None else {"mean": spread[0], "std": spread[1]}
        rows.append(row | {"runs": [result["run"] for result in variant.results]})
    return rows


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimizer": {"lr": 1}} → {"optimizer.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
