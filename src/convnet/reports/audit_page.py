"""The page of an audit: findings with thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convnet.atomic import write_atomically
from convnet.data.audit.audit import Audit
from convnet.data.audit.findings import Finding, Kind
from convnet.data.audit.scan import Scan
from convnet.data.files.manifest import Manifest
from convnet.errors import DataError
from convnet.reports.html import render
from convnet.reports.thumbnails import thumbnail

SHOWN = 48
"""The number of findings of a kind that are shown with a thumbnail."""
WITHOUT_PICTURES: frozenset[Kind] = frozenset(
    {
        "unreadable",
        "not_an_image",
        "unpaired",
        "unreadable_partner",
        "unknown_value",
        "split_leak",
        "empty_class",
        "single_image_class",
        "ignored_file",
    }
)
EXPLAINED: dict[Kind, str] = {
    "unreadable": "Files that cannot be decoded. They are skipped.",
    "truncated": "Files whose end is missing. They are skipped unless --allow-truncated is given.",
    "not_an_image": "Files with the name of an image that are not images. They are skipped.",
    "unpaired": "Images without a mask or target of the same name, and the reverse. Training stops there.",
    "unreadable_partner": "Masks or targets that cannot be read. Training stops there.",
    "size_mismatch": "Masks or targets of another size than their image. Training stops there.",
    "unknown_value": "Values of masks that are no class. Training stops there.",
    "split_leak": "Tiles of one picture in different splits. Held-out figures are then too good.",
    "near_empty_mask": "Masks in which less than 0.1% of the pixels differ from the most frequent class. "
    "They may be missing annotations.",
    "exact_duplicate": "Identical in every pixel. Copies are kept in the same split.",
    "near_duplicate": "The same image resized, recompressed or slightly changed. They are kept in the same "
    "split.",
    "conflicting_label": "The same image with two labels. One of them is wrong.",
    "suspect_label": "A simple classifier that was not trained on the image prefers another label. Most "
    "suspicious first. Many of these labels are correct, so check by eye.",
    "blank": "Images of a single color. They are not trained on.",
    "tiny": "Much smaller than the others.",
    "extreme_aspect": "More than four times as wide as high, or as high as wide.",
    "exif_rotated": "Stored rotated. They are turned upright when decoded.",
    "odd_mode": "Palettes, transparency, CMYK or 16 bits. They are converted when decoded.",
    "empty_class": "Class folders without a readable image.",
    "single_image_class": "A class of one image cannot be in both the training and a held-out split.",
    "ignored_file": "Files that are not images. They are skipped.",
}


@dataclass(frozen=True)
class Shown:
    """A finding, its thumbnail and that of the other image, as data URIs."""

    finding: Finding
    picture: str | None
    other: str | None = None


def write_audit_page(path: Path, audit: Audit) -> Path:
    """Write the page of an audit, with thumbnails embedded.

    Raises:
        RunError: The page cannot be written.
    """
    thumbs = _Thumbnails(audit.manifest, audit.scan)
    counts = sorted(audit.manifest.counts().items(), key=lambda item: -item[1])
    page = render(
        "audit.html",
        audit=audit,
        name=audit.manifest.name,
        root=str(audit.manifest.store.root),
        counts=counts,
        most=max((count for _, count in counts), default=1) or 1,
        sections=[
            (kind, EXPLAINED[kind], _shown(kind, found[:SHOWN], thumbs), found[SHOWN:])
            for kind, found in audit.by_kind.items()
        ],
        outliers={
            name: [(path, value, thumbs.of(path)) for path, value in rows]
            for name, rows in audit.outliers().items()
        },
        channels=list(zip(audit.channel_names, *audit.channels, strict=True))
        if audit.scan.decoded.any()
        else [],
        sizes=audit.sizes if audit.scan.decoded.any() else None,
    )
    write_atomically(path, page)
    return path


def _shown(kind: Kind, found: Sequence[Finding], thumbs: _Thumbnails) -> list[Shown]:
    if kind in WITHOUT_PICTURES:
        return [Shown(finding, None) for finding in found]
    return [Shown(finding, thumbs.of(finding.path), thumbs.named_in(finding)) for finding in found]


class _Thumbnails:
    """Thumbnails of samples as JPEG data URIs."""

    def __init__(self, manifest: Manifest, scan: Scan) -> None:
        self.manifest, self.scan = manifest, scan
        self.places = {sample.entry.name: i for i, sample in enumerate(manifest.samples)}
        self.made: dict[str, str | None] = {}

    def of(self, path: str) -> str | None:
        """The thumbnail of a sample; None if it has no pixels."""
        if path not in self.made:
            self.made[path] = self._make(path)
        return self.made[path]

    def named_in(self, finding: Finding) -> str | None:
        """The thumbnail of the other image of a pair: the longest path in the detail."""
        if finding.kind not in ("exact_duplicate", "near_duplicate", "conflicting_label"):
            return None
        named = [path for path in self.places if path in finding.detail]
        return self.of(max(named, key=len)) if named else None

    def _make(self, path: str) -> str | None:
        place = self.places.get(path)
        if place is None or not self.scan.decoded[place]:
            return None
        try:
            return thumbnail(self.manifest.store.read(path))
        except DataError:
            return None
