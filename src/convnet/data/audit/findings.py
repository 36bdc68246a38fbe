"""The findings of an audit about files and classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from convnet.data.audit.duplicates import Pair
from convnet.data.audit.scan import Scan
from convnet.data.files.manifest import Manifest

Kind = Literal[
    "unreadable",
    "truncated",
    "not_an_image",
    "unpaired",
    "unreadable_partner",
    "size_mismatch",
    "unknown_value",
    "split_leak",
    "exact_duplicate",
    "near_duplicate",
    "conflicting_label",
    "suspect_label",
    "near_empty_mask",
    "blank",
    "tiny",
    "extreme_aspect",
    "exif_rotated",
    "odd_mode",
    "empty_class",
    "single_image_class",
    "ignored_file",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""All kinds, most harmful first."""

TINY = 16
"""Pixels a side; smaller images are reported if most others are larger."""
USUAL = 2
"""An image is tiny only if the median size is at least this many times larger."""
EXTREME = 4.0
"""The largest usual ratio of the longer to the shorter side."""
USUAL_MODES = frozenset({"RGB", "L", "YCbCr", "array"})


@dataclass(frozen=True)
class Finding:
    """A problem of a file or a class.

    Attributes:
        kind: The kind of problem.
        path: The file or class.
        detail: Further information; for copies the path of the other file.
    """

    kind: Kind
    path: str
    detail: str


def findings(manifest: Manifest, found: Scan, pairs: Sequence[Pair]) -> list[Finding]:
    """All findings from decoding and comparing the files, most harmful kinds first."""
    all_found = [
        *_damaged(manifest, found),
        *_copies(manifest, pairs),
        *_looks(manifest, found),
        *_classes(manifest, found),
        *(Finding("ignored_file", ignored.name, ignored.reason) for ignored in manifest.ignored),
    ]
    return sorted(all_found, key=lambda f: (KINDS.index(f.kind), f.path, f.detail))


def document(manifest: Manifest, found: Scan, said: Sequence[Finding]) -> dict[str, Any]:
    """Files, readable images, images per class and findings as plain values, for JSON."""
    return {
        "files": len(manifest) + len(manifest.ignored),
        "images": int(found.sound.sum()),
        "classes": manifest.counts(),
        "findings": [{"kind": f.kind, "path": f.path, "detail": f.detail} for f in said],
    }


def _damaged(manifest: Manifest, found: Scan) -> Iterator[Finding]:
    for place, reason in found.reasons.items():
        kind = found.trouble(place)
        assert kind is not None, "a reason implies a problem"
        yield Finding(kind, manifest.samples[place].entry.name, reason)


def _copies(manifest: Manifest, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """A finding per copy, and one more if the labels of a pair differ."""
    for pair in pairs:
        first, second = manifest.samples[pair.first], manifest.samples[pair.second]
        here, there = first.split or "", second.split or ""
        across = f" (in {here}, this one in {there})" if here != there else ""
        kind: Kind = "exact_duplicate" if pair.exact else "near_duplicate"
        yield Finding(kind, second.entry.name, f"of {first.entry.name}{across}")
        if first.labels != second.labels:
            detail = f"labeled {_words(second.labels)}, its copy {first.entry.name} {_words(first.labels)}"
            yield Finding("conflicting_label", second.entry.name, detail)


def _looks(manifest: Manifest, found: Scan) -> Iterator[Finding]:
    records = found.records
    sides = sorted(min(r["width"], r["height"]) for r in records[found.decoded])
    usual = sides[len(sides) // 2] if sides else 0
    for sample, record in zip(manifest.samples, records, strict=True):
        width, height = int(record["width"]), int(record["height"])
        if not width:
            continue
        name, size = sample.entry.name, f"{width}×{height} pixels"
        if record["blank"]:
            yield Finding("blank", name, f"{size} of one color")
        if min(width, height) < TINY and usual >= USUAL * min(width, height):
            yield Finding("tiny", name, f"{size}; half of the images have {usual} or more")
        if max(width, height) > EXTREME * min(width, height):
            yield Finding("extreme_aspect", name, size)
        if record["orientation"] > 1:
            yield Finding("exif_rotated", name, f"orientation {record['orientation']}; turned when decoded")
        if str(record["mode"]) not in USUAL_MODES:
            yield Finding("odd_mode", name, f"mode {record['mode']}; converted when decoded")


def _classes(manifest: Manifest, found: Scan) -> Iterator[Finding]:
    readable: dict[str, list[str]] = defaultdict(list)
    for place, sample in enumerate(manifest.samples):
        for label in sample.labels:
            readable[label] += [sample.entry.name] if found.decoded[place] else []
    for name in manifest.empty:
        yield Finding("empty_class", name, "the folder holds no images")
    for name in manifest.classes:
        if not readable[name]:
            yield Finding("empty_class", name, "none of its images can be read")
        elif len(readable[name]) == 1:
            yield Finding("single_image_class", name, f"only {readable[name][0]}")


def _words(labels: tuple[str, ...]) -> str:
    return " and ".join(f"'{label}'" for label in labels) or "nothing"
