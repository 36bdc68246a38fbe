"""Compare variants of a recipe over several seeds."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.data import Dataset
from convnet.device import default_device
from convnet.errors import InterruptedRunError, RecipeError
from convnet.recipes import Recipe, override, split_data
from convnet.recipes.resolve import choose_recipe
from convnet.runs import as_file_name
from convnet.settings import settings
from convnet.training import Listener, labeled
from convnet.workflows.comparison import Comparison, comparison_folder, write_comparison
from convnet.workflows.run import Run
from convnet.workflows.run_data import checksums_file
from convnet.workflows.train import require_buildable, resolve_environment, train_or_resume


def compare(
    recipe: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    out: Path | None = None,
    dataset: Dataset | None = None,
    listeners: Sequence[Listener] = (),
) -> Comparison:
    """Train every combination of the values in `vary` with several seeds.

    Finished runs of the same comparison are reused and unfinished ones resumed, so an interrupted comparison
    continues when it is started again.

    Args:
        recipe: The recipe that the variants share.
        vary: The values of each varied field.
        seeds: Runs per variant; the seeds count from the recipe's own.
        out: The folder of the runs, `compare.html`, `compare.png` and `compare.json`. Default:
            runs/NAME-compare-N, a new one for each comparison.
        dataset: Data that the recipe cannot open.
        listeners: Callables that receive every event.

    Returns:
        The runs, the page and the summary.

    Raises:
        RecipeError: A variant is not a valid recipe; all are checked before the first is trained.
        ConvnetError: As for `train`.
    """
    if not vary or not all(vary.values()):
        raise RecipeError("nothing to compare; give a field and its values: --vary optimizer=adam,sgd")
    if seeds > 1 and "seed" in vary:
        raise RecipeError("--vary seed and --seeds both choose seeds; use one of them")
    device = settings().device or default_device()
    below = out or Path("runs")
    described = resolve_environment(recipe, device, below, named=dataset is None).to_dict()
    plan = {"recipe": described, "vary": {k: list(v) for k, v in vary.items()}, "seeds": seeds}
    if dataset is not None:
        plan["samples"] = hashlib.sha256(checksums_file(dataset) or b"").hexdigest()
    variants_of = [
        (label, resolve_environment(variant, device, below, named=dataset is None))
        for label, variant in _variants(recipe, vary)
    ]
    _require_distinct([label for label, _ in variants_of])
    planned = {
        label: [override(variant, {"seed": variant.seed + i}) for i in range(seeds)]
        for label, variant in variants_of
    }
    for label, recipes in planned.items():
        opened = split_data(recipes[0], dataset) if dataset is not None else None
        settled = require_buildable(recipes[0], opened)[0]
        planned[label] = [override(settled, {"seed": each.seed}) for each in recipes]
    folder = comparison_folder(out, f"{as_file_name(recipe.name)}-compare", plan)
    runs: dict[str, list[Run]] = {label: [] for label in planned}
    count, trained, began = seeds * len(planned), 0, time.perf_counter()
    # Seed by seed, so that an interrupted comparison has something of every variant.
    for i in range(seeds):
        for k, (label, recipes) in enumerate(planned.items()):
            path = folder / f"{as_file_name(label)}-seed{recipes[i].seed}"
            done = i * len(planned) + k
            place = f"{label}, run {done + 1} of {count}"
            left = _time_left(time.perf_counter() - began, trained, count - done)
            trained += not (path / "result.json").exists()
            try:
                runs[label].append(
                    train_or_resume(
                        path, recipes[i], dataset=dataset, listeners=labeled(listeners, place + left)
                    )
                )
            except InterruptedRunError:
                raise InterruptedRunError(
                    f"{folder}: stopped in {place}; run the same command again to continue"
                ) from None
    return write_comparison(folder, f"{recipe.name}: {', '.join(vary)} compared", runs)


def _time_left(seconds: float, trained: int, runs: int) -> str:
    """The time that further runs take at the pace so far; empty before the first is trained."""
    if not trained:
        return ""
    left = seconds / trained * runs
    return f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"


def _require_distinct(labels: Sequence[str]) -> None:
    for names in (labels, [as_file_name(label) for label in labels]):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RecipeError(f"two variants have the name '{twice[0]}'; give each value once")


def _variants(recipe: Recipe, vary: Mapping[str, Sequence[Any]]) -> list[tuple[str, Recipe]]:
    """Labels (field=value) and recipes."""
    variants = []
    for values in itertools.product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        label = ", ".join(f"{key}={shown(value)}" for key, value in chosen.items())
        variants.append((label, choose_recipe(recipe, chosen)))
    return variants


def shown(value: Any) -> str:
    """A value as it is written after --vary."""
    if isinstance(value, Mapping) and "name" in value:
        options = ", ".join(f"{k}={v}" for k, v in value.items() if k != "name")
        return f"{value['name']}({options})" if options else str(value["name"])
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
