"""The lines that are printed about data before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convnet.data.audit.duplicates import Pair
from convnet.data.files.manifest import Manifest

IMBALANCE = 4


def data_warnings(
    kept: Manifest,
    data: str,
    *,
    kinds: Mapping[str, int],
    blank: int,
    pairs: Sequence[Pair] | None,
    conflicts: int,
    scanned: int,
) -> tuple[str, ...]:
    """Lines about classes, skipped images, copies and ignored files.

    Args:
        kept: The readable images.
        data: The user's name for the data.
        kinds: The number of skipped images by reason.
        blank: The number of blank images.
        pairs: Copies; None if only some files were scanned.
        conflicts: The number of copies with different labels.
        scanned: The number of scanned files.
    """
    counts = [count for count in kept.counts().values() if count]
    lines = [f"{len(kept):,} images, {_classes(kept, counts) if counts else 'no labels'}", *kept.remarks]
    if kinds or blank:
        left_out = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds.items())
        parts = (
            f"skipped: {left_out}" if left_out else "",
            f"excluded from training: {blank:,} blank" if blank else "",
        )
        lines.append("; ".join(part for part in parts if part))
    if pairs:
        exact = sum(pair.exact for pair in pairs)
        labels = f", {conflicts:,} of them with another label" if conflicts else ""
        lines.append(
            f"copies: {exact:,} exact, {len(pairs) - exact:,} near{labels}; copies stay in one split"
        )
    if pairs is None:
        lines.append(f"only {scanned} files were scanned; copies were not searched for")
    if kept.ignored:
        lines.append(f"ignored {len(kept.ignored):,} other file{'s' if len(kept.ignored) > 1 else ''}")
    if len(lines) > 1 + len(kept.remarks):
        lines.append(f"full check, including suspicious labels: convnet data audit {data}")
    return tuple(lines)


def _classes(kept: Manifest, counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    sizes = f"{low:,} images each" if low == high else f"{low:,} to {high:,} images"
    text = f"{len(counts)} classes of {sizes}"
    if high >= IMBALANCE * low:
        text += f"; unbalanced, {high / low:.0f} : 1 (--balance weights, sampler or focal)"
    if kept.empty:
        text += f"; no images in {', '.join(kept.empty[:3])}{' …' if len(kept.empty) > 3 else ''}"
    return text
