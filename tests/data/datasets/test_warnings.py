from __future__ import annotations

from pathlib import Path

from convnet.data.audit.duplicates import Copies, Pair
from convnet.data.datasets.warnings import data_warnings
from convnet.data.files.manifest import Manifest, Sample
from convnet.data.files.storage import FileEntry, open_storage


def manifest(tmp_path: Path, **counts: int) -> Manifest:
    samples = tuple(
        Sample(FileEntry(f"{name}/{i}.jpg", 100, i), (name,)) for name, n in counts.items() for i in range(n)
    )
    return Manifest("photos", open_storage(tmp_path), samples, tuple(counts))


def test_a_clean_balanced_folder_gives_one_line(tmp_path: Path) -> None:
    kept = manifest(tmp_path, cat=12, dog=12)
    lines = data_warnings(kept, "photos", {}, 0, Copies([]), scanned=24)
    assert lines == ("24 images, 2 classes of 12 images each",)


def test_every_finding_has_a_line(tmp_path: Path) -> None:
    lines = data_warnings(
        manifest(tmp_path, cat=120, dog=10),
        "photos",
        {"unreadable": 2},
        1,
        Copies([Pair(0, 1, True), Pair(2, 3, False)], conflicts=1, alike=30),
        scanned=133,
    )
    first, skipped, blank, copies, alike, check = lines
    assert "unbalanced, 12 : 1" in first
    assert skipped == "skipped: 2 unreadable" and blank == "blank: 1"
    assert copies == "copies: 1 exact, 1 near, 1 of them with another label"
    assert alike.startswith("30 images look like one scene")
    assert check.endswith("convnet data audit photos")
