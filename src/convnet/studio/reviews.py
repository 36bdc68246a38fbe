"""Data sets that are audited and whose labels are corrected."""

from __future__ import annotations

import contextvars
import csv
import io
import itertools
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from convnet.atomic import write_atomically
from convnet.data import Data
from convnet.data.audit.audit import Audit
from convnet.errors import ConvnetError, DataError, in_one_line
from convnet.workflows.audit import audit_images
from convnet.workflows.corrections import REMOVE, correct_manifest
from convnet.workflows.review import SuspectLabel, review_labels
from convnet.workflows.run import Run

T = TypeVar("T")


@dataclass
class Review:
    """The audit of a data set and the corrections of its labels.

    Attributes:
        source: The data.
        file: The table of corrections.
        done: The number of files that were decoded.
        total: The number of files.
        audit: The result; None while it is not finished.
        error: Why the audit failed.
        corrections: The new class of each image that was corrected, or `REMOVE`.
        run: A run on the data, whose network finds the wrong labels; else a simple classifier does.
        suspects: What it found, most doubtful first.
    """

    source: str
    file: Path
    done: int = 0
    total: int = 0
    audit: Audit | None = None
    error: str = ""
    corrections: dict[str, str] = field(default_factory=dict)
    run: Run | None = None
    suspects: Sequence[SuspectLabel] = ()

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def start(self) -> None:
        """Audit the data, and read the corrections that there are."""
        try:
            self.corrections = _read(self.file)
            if self.run is not None:
                self.suspects = review_labels(self.run).suspects
            options = Data(source=self.source)
            self.audit = audit_images(options, check_labels=self.run is None, progress=self._counted)
        except ConvnetError as error:
            self.error = str(error)
        except Exception as error:  # shown in the page; the studio goes on
            self.error = f"the audit failed: {type(error).__name__}: {in_one_line(error)}"

    def _counted(self, items: Iterable[T], total: int) -> Iterator[T]:
        self.total = total
        for item in items:
            self.done += 1
            yield item

    @property
    def finished(self) -> Audit:
        """The result.

        Raises:
            DataError: The audit is not finished, or failed.
        """
        if self.audit is None:
            raise DataError(self.error or f"{self.source}: is still being audited")
        return self.audit

    def describe(self) -> dict[str, Any]:
        """The findings as plain values, or how far the audit is."""
        from convnet.reports.audit_page import EXPLAINED  # the package imports matplotlib

        if self.audit is None:
            return {"state": "failed" if self.error else "running", "error": self.error, **self._progress()}
        audit = self.audit
        labels = {s.entry.name: s.labels[0] if s.labels else None for s in audit.manifest.samples}
        return {
            "state": "finished",
            "name": audit.manifest.name,
            "files": audit.files,
            "images": audit.images,
            "classes": audit.manifest.counts(),
            "correctable": not audit.manifest.multi_label,
            "findings": [
                *self._suspects(labels),
                *(
                    {
                        "kind": kind,
                        "about": EXPLAINED[kind],
                        "rows": [[f.path, f.detail, labels.get(f.path)] for f in found],
                    }
                    for kind, found in audit.by_kind.items()
                ),
            ],
            "corrections": self.corrections,
            "file": str(self.file),
        }

    def _suspects(self, labels: Mapping[str, str | None]) -> list[dict[str, Any]]:
        """The labels that the network of a run doubts."""
        if not self.suspects:
            return []
        rows = [
            [s.path, f"the network prefers '{s.suggested}' (doubt {s.doubt:.0%})", labels.get(s.path)]
            for s in self.suspects
        ]
        about = "Labels that are probably wrong by the network of the run, most doubtful first."
        return [{"kind": "suspect_label", "about": about, "rows": rows}]

    def _progress(self) -> dict[str, int]:
        return {"done": self.done, "total": self.total}

    def picture(self, path: str) -> bytes:
        """The content of an image file.

        Raises:
            DataError: There is no such image.
        """
        manifest = self.finished.manifest
        if path not in {sample.entry.name for sample in manifest.samples}:
            raise DataError(f"{path}: no such image in {manifest.name}")
        return manifest.store.read(path)

    def correct(self, path: str, label: str | None) -> None:
        """Correct the label of an image, leave it out, or take a correction back, and write the table.

        Args:
            path: The image.
            label: A class, `REMOVE`, or None to take the correction back.

        Raises:
            DataError: There is no such image or class.
        """
        manifest = self.finished.manifest
        labels = {sample.entry.name: sample.labels for sample in manifest.samples}
        if path not in labels:
            raise DataError(f"{path}: no such image in {manifest.name}")
        if label is not None and label != REMOVE and label not in manifest.classes:
            raise DataError(f"{label}: no such class in {manifest.name}")
        with self._lock:
            if label is None or labels[path] == (label,):
                self.corrections.pop(path, None)
            else:
                self.corrections[path] = label
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow(["path", "label", "corrected"])
            writer.writerows([p, " ".join(labels.get(p, ())), new] for p, new in self.corrections.items())
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, text.getvalue())

    def apply(self) -> dict[str, Any]:
        """Write a table of all images with corrected labels, next to the corrections.

        Raises:
            DataError: The data is not a folder of images.
        """
        out = self.file.with_name("labels.csv")
        done = correct_manifest(self.finished.manifest, self.file, out)
        return {"table": str(out), **done._asdict()}


def _read(file: Path) -> dict[str, str]:
    """The corrections of an earlier session."""
    if not file.exists():
        return {}
    try:
        rows = csv.DictReader(io.StringIO(file.read_bytes().decode(), newline=""), strict=True)
        return {row["path"]: row["corrected"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{file}: damaged: {error}; repair it, or delete it") from error


class Reviews:
    """The reviews of this start of the studio."""

    def __init__(self) -> None:
        self._reviews: dict[int, Review] = {}
        self._numbers = itertools.count(secrets.randbelow(2**40))  # pages of an earlier start have others

    def start(self, source: str, file: Path, run: Run | None = None, *, again: bool = False) -> int:
        """Audit data in another thread.

        Args:
            source: The data.
            file: The table of corrections.
            run: A run on the data, whose network finds the wrong labels.
            again: Whether to audit data again that was audited before.

        Returns:
            The number by which the review is found again.
        """
        path = None if run is None else run.path
        for number, review in list(self._reviews.items()):
            same = review.source == source and (review.run and review.run.path) == path
            running = review.audit is None and not review.error
            if same and (running or (review.audit is not None and not again)):
                return number
            if same:
                del self._reviews[number]
        number, review = next(self._numbers), Review(source, file, run=run)
        self._reviews[number] = review
        context = contextvars.copy_context()  # the settings
        threading.Thread(target=context.run, args=(review.start,), daemon=True).start()
        return number

    def __getitem__(self, number: int) -> Review:
        """A review.

        Raises:
            DataError: There is none of that number.
        """
        if number not in self._reviews:
            raise DataError("this review has expired; open the data again")
        return self._reviews[number]
