"""`convnet data audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet.cli.options import DataDir, Json, Label, Labels, Set, data_options, print_json

if TYPE_CHECKING:
    from convnet.data.audit.audit import Audit

LISTED = 10
"""Findings of a kind that are printed; the page and the JSON have them all."""


def audit(
    data: Annotated[str, typer.Argument(help="A folder, .zip, table or shards of images; a data set.")],
    html: Annotated[
        Path | None, typer.Option(help="Write a page with thumbnails (default: NAME-audit.html).")
    ] = None,
    labels: Annotated[
        bool, typer.Option(help="Whether to look for suspicious labels with a simple classifier.")
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 if anything is found.")] = False,
    label: Label = None,
    task: Labels = None,
    set_: Set = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Check images for damage, duplicates, odd sizes and wrong labels or masks; write a page."""
    from convnet.data import Data
    from convnet.device import keep_freed_memory
    from convnet.recipes.defaults import ANNOTATION_FOR
    from convnet.registry import validate
    from convnet.reports.audit_page import write_audit_page
    from convnet.runs import as_file_name
    from convnet.workflows.audit import audit_images
    from convnet.workflows.progress import WorkProgress

    keep_freed_memory()
    options = validate(Data, data_options(set_, source=data, label=label), "data")
    with WorkProgress("checking images") as progress:
        found = audit_images(options, ANNOTATION_FOR.get(task), check_labels=labels, progress=progress.over)
    name = as_file_name(found.manifest.name)
    page = None if as_json and html is None else html or Path(f"{name}-audit.html")
    if page is not None:
        write_audit_page(page, found)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, page)
    if strict and found.findings:
        raise typer.Exit(1)


def _print(found: Audit, page: Path | None) -> None:
    manifest, counts = found.manifest, found.manifest.counts()
    print(
        f"{manifest.name}: {found.images:,} of {found.files:,} files are readable images"
        + (f", {len(counts)} classes" if counts else "")
    )
    shown = sorted(counts.items(), key=lambda item: -item[1])
    if shown:
        print("  " + ", ".join(f"{name} {count:,}" for name, count in shown[:LISTED]) + _more(len(shown)))
    if found.scan.decoded.any():
        mean, deviation = found.channels
        low, middle, high = found.sizes
        print(f"  size (min, median, max)  {low}  {middle}  {high}")
        print(
            f"  {', '.join(found.channel_names)}: means "
            + " ".join(f"{m:.1f}" for m in mean)
            + ", deviations "
            + " ".join(f"{d:.1f}" for d in deviation)
        )
    if found.profiles:
        print(f"  {found.profiles:,} images have a color profile (ICC), which is ignored")
    for kind, findings in found.by_kind.items():
        print(f"\n{kind.replace('_', ' ')} ({len(findings):,})")
        for finding in findings[:LISTED]:
            print(f"  {_line(finding.path)}  {_line(finding.detail)}")
        if len(findings) > LISTED:
            print(f"  {_more(len(findings)).strip()}")
    if not found.findings:
        print("\nnothing found")
    if page is not None:
        print(f"\npage  {page}")


def _more(count: int) -> str:
    return f" … and {count - LISTED:,} more" if count > LISTED else ""


def _line(text: str) -> str:
    """The text with control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
