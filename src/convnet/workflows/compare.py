"""Compare variants of a recipe over several seeds."""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import cannot_write, write_atomically
from convnet.data import Dataset
from convnet.device import default_device
from convnet.errors import InterruptedRunError, RecipeError, RunError
from convnet.recipes import Recipe, override, split_data
from convnet.reports.compare_page import Variant
from convnet.runs import as_file_name
from convnet.settings import settings
from convnet.tasks import Score
from convnet.training import Listener
from convnet.workflows.run import Run, load_run
from convnet.workflows.run_data import checksums_file
from convnet.workflows.train import require_buildable, resolve_environment, train_or_resume

logger = logging.getLogger(__name__)

PLAN = "comparison.json"
"""The file that says what a folder compares."""


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

    def __str__(self) -> str:
        """A table with a line per variant, best first."""
        style = ".2f" if self.score.decibels else ".2%"
        head = ["", *(f"{split} {self.score.label}" for split in ("val", "test")), "train loss", "seconds"]
        rows = [head]
        for row in self.summary:
            shares = (_spread(row[f"{split}.{self.score.key}"], style) for split in ("val", "test"))
            name = f"{row['variant']}{'  (best)' if row['best'] else ''}"
            rows.append([name, *shares, _spread(row["train.loss"], ".4f"), f"{row['seconds']['mean']:.1f}"])
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        samples = self.summary[0]["samples"]
        counts = ", ".join(f"{count:,} {split}" for split, count in samples.items())
        seeds = self.summary[0]["seeds"]
        return "\n".join([*lines, f"n = {counts} samples, {seeds} seed{'s' if seeds > 1 else ''}"])

    def __repr__(self) -> str:
        return f"Comparison {self.page.parent}\n{self}"


def _spread(value: Mapping[str, float | None] | None, style: str) -> str:
    if value is None:
        return "–"
    deviation = f" ± {value['std']:{style}}" if value["std"] is not None else ""
    return f"{value['mean']:{style}}{deviation}"


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
    recipe = resolve_environment(recipe, device, out or Path("runs"), named=dataset is None)
    plan = {"recipe": recipe.to_dict(), "vary": {k: list(v) for k, v in vary.items()}, "seeds": seeds}
    if dataset is not None:
        plan["samples"] = hashlib.sha256(checksums_file(dataset) or b"").hexdigest()
    variants_of = _variants(recipe, vary)
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
                        path, recipes[i], dataset=dataset, listeners=listeners, label=place + left
                    )
                )
            except InterruptedRunError:
                raise InterruptedRunError(
                    f"{folder}: stopped in {place}; run the same command again to continue"
                ) from None
    return write_comparison(folder, f"{recipe.name}: {', '.join(vary)} compared", runs)


def compare_runs(paths: Sequence[Path], out: Path | None = None) -> Comparison:
    """Compare runs that exist; runs of the same recipe but for the seed are one variant.

    Args:
        paths: The folders of finished runs.
        out: The folder of `compare.html`, `compare.png` and `compare.json`. Default: runs/compare-N.

    Returns:
        The runs, the page and the summary.

    Raises:
        RunError: A run is not finished.
        RecipeError: The runs have different tasks.
    """
    loaded = [load_run(path) for path in paths]
    for run in loaded:
        _ = run.result
    if len({run.task.name for run in loaded}) > 1:
        raise RecipeError("the runs have different tasks and cannot be compared")
    splits = {run.folder.read("split.csv") for run in loaded}
    if len(splits) > 1:
        logger.warning("the runs have different data or splits; their figures are not of the same samples")
    groups: dict[str, list[Run]] = {}
    for run in loaded:
        content = {**run.recipe.to_dict(), "seed": None, "name": None}
        groups.setdefault(json.dumps(content, sort_keys=True), []).append(run)
    runs = {_run_label(group, loaded): group for group in groups.values()}
    plan = {"runs": [str(run.path) for run in loaded]}
    folder = comparison_folder(out, "compare", plan)
    return write_comparison(folder, "Runs compared", runs)


def _run_label(group: Sequence[Run], others: Sequence[Run]) -> str:
    """The fields in which runs differ from the others, or the name of the folder."""
    flat = [_flatten(run.recipe.to_dict()) for run in others]
    own = _flatten(group[0].recipe.to_dict())
    differing = [
        key
        for key in own
        if key not in ("name", "seed") and any(other.get(key) != own[key] for other in flat)
    ]
    label = ", ".join(f"{key}={own[key]}" for key in differing[:3])
    return label or group[0].path.name


def comparison_folder(out: Path | None, stem: str, plan: Mapping[str, Any]) -> Path:
    """The folder of a comparison: the one that was begun with the same plan, or a new one.

    Raises:
        RunError: `out` holds another comparison, or is not writable.
    """
    text = json.dumps(plan, indent=2, ensure_ascii=False, default=str)
    if out is not None:
        folder = out.absolute()
        if (folder / PLAN).exists() and (folder / PLAN).read_text() != text:
            raise RunError(f"{folder}: holds another comparison; choose another folder with --out")
    else:
        parent = Path("runs").absolute()
        numbers = (
            int(path.name.removeprefix(f"{stem}-"))
            for path in parent.glob(f"{glob.escape(stem)}-*")
            if path.name.removeprefix(f"{stem}-").isdigit()
        )
        taken = sorted(numbers)
        same = (n for n in taken if (parent / f"{stem}-{n}" / PLAN).exists())
        number = next(
            (n for n in same if (parent / f"{stem}-{n}" / PLAN).read_text() == text),
            max(taken, default=0) + 1,
        )
        folder = parent / f"{stem}-{number}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(cannot_write(folder, error)) from error
    write_atomically(folder / PLAN, text)
    return folder


def write_comparison(folder: Path, title: str, runs: Mapping[str, Sequence[Run]]) -> Comparison:
    """Write the page, the picture and the figures of a comparison, best variant first."""
    from convnet.reports.compare_page import write_compare_report  # matplotlib, once training is done

    variants = [
        Variant(
            label, [r.result for r in done], [r.metrics for r in done], _flatten(done[0].recipe.to_dict())
        )
        for label, done in runs.items()
    ]
    first = next(iter(runs.values()))[0]
    score = first.task.score
    variants.sort(key=lambda variant: -variant.rank(score.key))
    try:
        summary = _summary(variants, score.key)
        write_atomically(folder / "compare.json", json.dumps(summary, indent=2, ensure_ascii=False))
        page = write_compare_report(folder, title, variants, score)
    except OSError as error:
        raise RunError(cannot_write(folder, error)) from error
    return Comparison(runs, page, summary, score)


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
        "val.balanced_accuracy": ("val", "balanced_accuracy"),
        "test.balanced_accuracy": ("test", "balanced_accuracy"),
        "seconds": ("seconds",),
        "images_per_second": ("images_per_second",),
    }
    rows = []
    for variant in variants:
        row: dict[str, Any] = {
            "variant": variant.label,
            "best": variant is variants[0],
            "seeds": len(variant.results),
            "samples": variant.samples(),
        }
        for name, path in figures.items():
            spread = variant.spread(*path)
            row[name] = None if spread is None else {"mean": spread[0], "std": spread[1]}
        rows.append(row | {"runs": [result["run"] for result in variant.results]})
    return rows


def shown(value: Any) -> str:
    """A value as it is written after --vary."""
    if isinstance(value, Mapping) and "name" in value:
        options = ", ".join(f"{k}={v}" for k, v in value.items() if k != "name")
        return f"{value['name']}({options})" if options else str(value["name"])
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimizer": {"lr": 1}} → {"optimizer.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
