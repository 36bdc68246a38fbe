"""A comparison of finished runs: its folder, its figures and its page."""

from __future__ import annotations

import glob
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import cannot_write, write_atomically
from convnet.errors import RecipeError, RunError
from convnet.evaluation.diagnosis import Finding
from convnet.evaluation.variant import Variant, diagnose_lead
from convnet.tasks import Score
from convnet.workflows.run import Run, load_run

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
        diagnosis: What to know before the best variant is believed.
    """

    runs: Mapping[str, Sequence[Run]]
    page: Path
    summary: Sequence[Mapping[str, Any]]
    score: Score
    diagnosis: Sequence[Finding] = ()

    def __str__(self) -> str:
        """A table with a line per variant, best first."""
        style = ".2f" if self.score.decibels else ".2%"
        seeds = [row["seeds"] for row in self.summary]
        uneven = len({*seeds}) > 1
        head = ["", *(f"{split} {self.score.label}" for split in ("val", "test")), "train loss", "seconds"]
        head += ["seeds"] if uneven else []
        rows = [head]
        for row in self.summary:
            shares = (_spread(row[f"{split}.{self.score.key}"], style) for split in ("val", "test"))
            name = f"{row['variant']}{'  (best)' if row['best'] else ''}"
            cells = [name, *shares, _spread(row["train.loss"], ".4f"), f"{row['seconds']['mean']:.1f}"]
            rows.append(cells + ([str(row["seeds"])] if uneven else []))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        samples = self.summary[0]["samples"]
        counts = ", ".join(f"{count:,} {split}" for split, count in samples.items())
        runs = "" if uneven else f", {seeds[0]} seed{'s' if seeds[0] > 1 else ''}"
        found = [finding.text for finding in self.diagnosis]
        return "\n".join([*lines, f"n = {counts} samples{runs}", *found])

    def __repr__(self) -> str:
        return f"Comparison {self.page.parent}\n{self}"


def _spread(value: Mapping[str, float | None] | None, style: str) -> str:
    if value is None:
        return "–"
    deviation = f" ± {value['std']:{style}}" if value["std"] is not None else ""
    return f"{value['mean']:{style}}{deviation}"


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
    folders = [path.resolve() for path in paths]
    if twice := [path for i, path in enumerate(paths) if folders[i] in folders[:i]]:
        raise RunError(f"{twice[0]}: named twice; name each run once")
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
        diagnosis = diagnose_lead(variants, score.key)
        page = write_compare_report(folder, title, variants, score, diagnosis)
    except OSError as error:
        raise RunError(cannot_write(folder, error)) from error
    return Comparison(runs, page, summary, score, diagnosis)


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


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimizer": {"lr": 1}} → {"optimizer.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
