"""One folder of photos in every form that data may have."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset

from convnet.data import Preprocess, all_images, labels_of, open_data

Rows = list[tuple[str, str, str]]
"""path, label, split."""


def rows_of(photos: Path) -> Rows:
    """The samples of a folder of train/ and val/ with a folder per class."""
    paths = sorted(path.relative_to(photos) for path in photos.rglob("*.jpg"))
    return [(path.as_posix(), path.parent.name, path.parts[0]) for path in paths]


def as_csv(photos: Path, out: Path, side: int) -> Path:
    target = out / "photos.csv"
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows((photos / path, label, split) for path, label, split in reversed(rows_of(photos)))
    return target


def as_parquet(photos: Path, out: Path, side: int) -> Path:
    columns = zip(
        *[(str(photos / path), label, split) for path, label, split in rows_of(photos)], strict=True
    )
    table = pa.table(dict(zip(("path", "label", "split"), map(list, columns), strict=True)))
    pq.write_table(table, out / "photos.parquet")
    return out / "photos.parquet"


def as_zip(photos: Path, out: Path, side: int) -> Path:
    with zipfile.ZipFile(out / "photos.zip", "w") as archive:
        for path, _, _ in rows_of(photos):
            archive.write(photos / path, f"wrapped/{path}")
    return out / "photos.zip"


def as_npz(photos: Path, out: Path, side: int) -> Path:
    dataset = open_data(str(photos), Preprocess(image_size=side))
    np.savez(
        out / "photos.npz",
        images=all_images(dataset).permute(0, 2, 3, 1).numpy(),
        labels=labels_of(dataset).numpy(),
        classes=np.array(dataset.info.classes),
        split=np.array(dataset.info.given_split),
    )
    return out / "photos.npz"


def as_shards(photos: Path, out: Path, side: int) -> Path:
    folder = out / "shards"
    folder.mkdir()
    for split in ("train", "val"):
        with webdataset.ShardWriter(str(folder / f"{split}-%03d.tar"), maxcount=90, verbose=0) as writer:
            for i, (path, label, its) in enumerate(rows_of(photos)):
                if its == split:
                    content = (photos / path).read_bytes()
                    writer.write({"__key__": f"{i:06d}", "jpg": content, "cls": label.encode()})
    return folder


FORMS: dict[str, Callable[[Path, Path, int], Path]] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "zip": as_zip,
    "npz": as_npz,
    "shards": as_shards,
}
