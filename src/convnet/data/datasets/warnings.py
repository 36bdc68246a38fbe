"""The lines that are printed about data before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from convnet.data.audit.duplicates import Copies
from convnet.data.files.manifest import Manifest
from convnet.data.files.storage import NOT_UTF8, Ignored

IMBALANCE = 4
SHOWN = 3
"""The number of ignored files of the user that are named."""


def data_warnings(
    kept: Manifest,
    data: str,
    kinds: Mapping[str, int],
    blank: int,
    copies: Copies | None,
    *,
    scanned: int,
) -> tuple[str, ...]:
    """Lines about classes, skipped and blank images, copies and ignored files.

    Args:
        kept: The readable images.
        data: The user's name for the data.
        kinds: The number of skipped images by reason.
        blank: The number of blank images.
        copies: The copies; None if only some files were scanned.
        scanned: The number of scanned files.
    """
    counts = [count for count in kept.counts().values() if count]
    lines = [f"{len(kept):,} images, {_classes(kept, counts) if counts else 'no labels'}", *kept.remarks]
    if kinds:
        left_out = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds.items())
        lines.append(f"skipped: {left_out}")
    if blank:
        lines.append(f"blank: {blank:,}")
    if copies is None:
        lines.append(f"only {scanned} files were scanned; copies were not searched for")
    else:
        lines += _copies(copies)
    lines += _ignored(kept.ignored)
    if len(lines) > 1 + len(kept.remarks):
        lines.append(f"full check, including suspicious labels: convnet data audit {data}")
    return tuple(lines)


def _copies(copies: Copies) -> Iterator[str]:
    if copies.pairs:
        exact = sum(pair.exact for pair in copies.pairs)
        labels = f", {copies.conflicts:,} of them with another label" if copies.conflicts else ""
        yield f"copies: {exact:,} exact, {len(copies.pairs) - exact:,} near{labels}"
    if copies.alike:
        yield (
            f"{copies.alike:,} images look like one scene, or a few; they are not treated as copies, so that "
            "similar images may be in different splits"
        )


def _ignored(files: Sequence[Ignored]) -> Iterator[str]:
    """Files that are not images are counted; those that may be the user's are named."""
    unnamed = [file for file in files if file.reason == NOT_UTF8]
    for file in unnamed[:SHOWN]:
        yield f"ignored '{file.name}': {file.reason}"
    if len(unnamed) > SHOWN:
        yield f"ignored {len(unnamed) - SHOWN:,} others for the same reason"
    if others := len(files) - len(unnamed):
        yield f"ignored {others:,} other file{'s' if others > 1 else ''}"


def _classes(kept: Manifest, counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    sizes = f"{low:,} images each" if low == high else f"{low:,} to {high:,} images"
    text = f"{len(counts)} classes of {sizes}"
    if high >= IMBALANCE * low:
        text += f"; unbalanced, {high / low:.0f} : 1 (--balance weights, sampler or focal)"
    if kept.empty:
        text += f"; no images in {', '.join(kept.empty[:3])}{' …' if len(kept.empty) > 3 else ''}"
    return text
