"""The audit of a data set: scan all files, find copies, check labels."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.duplicates import Vectors, duplicates
from convnet.data.audit.findings import KINDS, Finding, Kind, document, findings
from convnet.data.audit.labels import SIDE, Suspect, image_features, suspects
from convnet.data.audit.look import look_of
from convnet.data.audit.scan import Scan, scan
from convnet.data.files.image_reader import ImageReader
from convnet.data.files.manifest import Manifest
from convnet.data.images.preprocess import Preprocess
from convnet.types import ImageShape, Progress, unseen

logger = logging.getLogger(__name__)

OUTLIERS = 8
"""The number of darkest, brightest and least contrasted images that are shown."""
Embed = Callable[[Manifest, NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.float32]] | None]
"""Of images at some positions, the N positions of readable ones and their embeddings N×D, or None."""
MOST_JUDGED = 20_000
"""The largest number of images whose labels are checked."""


@dataclass(frozen=True, repr=False)
class Audit:
    """The result of an audit.

    Attributes:
        manifest: The audited files.
        scan: A record per file.
        findings: The problems found.
        seconds: The time of each step.
    """

    manifest: Manifest
    scan: Scan
    findings: tuple[Finding, ...]
    seconds: dict[str, float]

    def __repr__(self) -> str:
        problems = ", ".join(f"{len(found):,} {kind}" for kind, found in self.by_kind.items())
        return f"Audit of {self.manifest.name}: {self.images:,} images; {problems or 'nothing found'}"

    @property
    def files(self) -> int:
        """The number of all files, images or not."""
        return len(self.manifest) + len(self.manifest.ignored)

    @property
    def images(self) -> int:
        """The number of readable images."""
        return int(self.scan.sound.sum())

    @cached_property
    def by_kind(self) -> dict[Kind, list[Finding]]:
        """The findings by kind; only kinds that occur."""
        grouped = {kind: [f for f in self.findings if f.kind == kind] for kind in KINDS}
        return {kind: found for kind, found in grouped.items() if found}

    @cached_property
    def channel_names(self) -> tuple[str, str, str]:
        """The names of the three channels in the statistics."""
        if (self.scan.records["channels"] > 3).any():
            return "first", "second", "third channel"
        return "red", "green", "blue"

    @cached_property
    def channels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the first three channels, 0…255; images have equal weight."""
        records = self.scan.records[self.scan.decoded]
        mean = records["mean"].astype(np.float64).mean(0)
        square = records["square"].astype(np.float64).mean(0)
        return mean, np.sqrt(np.maximum(square - mean**2, 0))

    @cached_property
    def profiles(self) -> int:
        """The number of images with a color profile, which is ignored."""
        return int(self.scan.records["profile"].sum())

    @cached_property
    def sizes(self) -> tuple[str, str, str]:
        """The smallest, median and largest width×height, by number of pixels."""
        records = self.scan.records[self.scan.decoded]
        order = np.argsort(records["width"].astype(np.int64) * records["height"], kind="stable")
        chosen = records[order[[0, len(order) // 2, -1]]]
        low, middle, high = (f"{r['width']}×{r['height']}" for r in chosen)
        return low, middle, high

    def outliers(self) -> dict[str, list[tuple[str, float]]]:
        """The darkest, brightest and least contrasted images, with their values."""
        places = (self.scan.decoded & ~self.scan.records["blank"]).nonzero()[0]
        brightness = self.scan.records["mean"][places].mean(1)
        contrast = self.scan.records["contrast"][places]
        orders = {
            "darkest": (np.argsort(brightness, kind="stable"), brightness),
            "brightest": (np.argsort(-brightness, kind="stable"), brightness),
            "least contrast": (np.argsort(contrast, kind="stable"), contrast),
        }
        return {
            name: [(self.manifest.samples[places[i]].entry.name, float(values[i])) for i in order[:OUTLIERS]]
            for name, (order, values) in orders.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Files, images, classes and findings as plain values, for JSON."""
        return document(self.manifest, self.scan, self.findings)


def audit(
    manifest: Manifest,
    *,
    check_labels: bool = True,
    embed: Embed | None = None,
    partners: Callable[[Scan], Iterable[Finding]] = lambda _: (),
    progress: Progress = unseen,
) -> Audit:
    """Decode every file, find copies, and check labels with a cross-validated classifier.

    Args:
        manifest: The files.
        check_labels: Whether to check the labels.
        embed: Computes embeddings of photos, with which copies and suspicious labels are found.
        partners: Checks what belongs to the images, such as their masks.
        progress: Shows the progress of decoding.

    Returns:
        The findings and the records of all files.
    """
    begun = time.perf_counter()
    found = scan(manifest, progress=progress)
    scanned = time.perf_counter()
    vectors = _embedded(manifest, found, embed) if embed is not None else None
    embedded = time.perf_counter()
    pairs = duplicates(manifest, found, vectors).pairs
    compared = time.perf_counter()
    suspicious: list[Finding] = []
    if check_labels and not manifest.multi_label:
        if len(manifest) > MOST_JUDGED:
            logger.info("labels are not checked: more than %s images", f"{MOST_JUDGED:,}")
        else:
            logger.info("checking labels")
            suspicious = _suspects(manifest, found, vectors)
    seconds = {
        "scan": scanned - begun,
        "embed": embedded - scanned,
        "compare": compared - embedded,
        "labels": time.perf_counter() - compared,
    }
    all_found = [*findings(manifest, found, pairs), *suspicious, *partners(found)]
    ordered = sorted(all_found, key=lambda f: KINDS.index(f.kind))
    return Audit(manifest, found, tuple(ordered), seconds)


def _embedded(manifest: Manifest, found: Scan, embed: Embed) -> Vectors | None:
    """Embeddings of usable images; None if they are not color photos, or too many."""
    look = look_of(found)
    places = (found.sound & ~found.records["blank"]).nonzero()[0]
    if look is None or not look.photos or len(manifest) > MOST_JUDGED:
        return None
    logger.info("computing embeddings of %s images", f"{len(places):,}")
    embedded = embed(manifest, places)
    return None if embedded is None else Vectors(*embedded)


def _suspects(manifest: Manifest, found: Scan, vectors: Vectors | None) -> list[Finding]:
    """Suspicious labels, most suspicious first, among readable images that are not blank."""
    places = (found.sound & ~found.records["blank"]).nonzero()[0]
    if not len(places):
        return []
    if vectors is not None:
        labels = manifest.targets()[vectors.places].numpy()
        kept = vectors.places.tolist()
        return _findings(manifest, kept, suspects(vectors.numbers, labels, manifest.classes))
    channels = 3 if (found.records["channels"][places] >= 3).any() else 1
    images = ImageReader(
        manifest.without(set(range(len(manifest))) - set(places.tolist())),
        Preprocess(resize="stretch"),
        ImageShape(channels, SIDE, SIDE),
    )
    pixels, readable = images.read(np.arange(len(places)))
    kept = places[readable].tolist()
    labels = manifest.targets()[kept].numpy()
    return _findings(manifest, kept, suspects(image_features(pixels), labels, manifest.classes))


def _findings(manifest: Manifest, kept: Sequence[int], found: Sequence[Suspect]) -> list[Finding]:
    suspicious = []
    for suspect in found:
        sample = manifest.samples[kept[suspect.index]]
        suspicious.append(
            Finding(
                "suspect_label",
                sample.entry.name,
                f"labeled '{sample.labels[0]}' ({suspect.own:.0%}), looks like '{suspect.other}' "
                f"({suspect.probability:.0%})",
            )
        )
    return suspicious
