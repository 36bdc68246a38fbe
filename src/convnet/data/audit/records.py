"""The record of a scanned file, and the cache of records."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convnet.atomic import write_atomically
from convnet.data.files.manifest import Manifest, Sample
from convnet.data.files.remote_file import cache_folder
from convnet.data.images.pixels import Trouble
from convnet.errors import ConvnetError

THUMB = 16
"""The size of the color thumbnails that are compared."""
TROUBLES: tuple[Trouble, ...] = ("unreadable", "truncated", "not_an_image")
VERSION = 6

RECORD = np.dtype(
    [
        ("trouble", np.uint8),  # 0, or 1 + index in TROUBLES
        ("passing", np.bool_),  # the file could not be read now, which may change
        ("width", np.int32),  # upright; 0 if nothing could be decoded
        ("height", np.int32),
        ("mode", "U8"),
        ("channels", np.uint8),
        ("full", np.uint16),  # the largest value of the type
        ("white", np.uint16),  # the largest value of the depth that is used; 0 if unknown
        ("orientation", np.uint8),
        ("profile", np.bool_),
        ("blank", np.bool_),
        ("mean", np.float32, 3),
        ("square", np.float32, 3),
        ("contrast", np.float32),
        ("hash", np.uint64),
        ("thumb", np.uint8, (THUMB, THUMB, 3)),
        ("checksum", np.int64),  # of the file's bytes; 0 if it could not be read
        ("content", np.int64),  # of its pixels; 0 if there are none
    ]
)
Records = NDArray[np.void]


class Memory:
    """The cached records of earlier scans of the same folder, by path, size and modification time."""

    def __init__(self, manifest: Manifest) -> None:
        where = hashlib.sha256(os.fsencode(manifest.store.root.absolute())).hexdigest()[:12]
        self.path = cache_folder("scans") / f"{manifest.name}-{where}.npz"
        self.found: dict[bytes, tuple[Records, str]] = {}
        try:
            with self.path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
                if int(file["version"]) == VERSION and file["records"].dtype == RECORD:
                    reasons = json.loads(file["reasons"].tobytes())
                    rows = zip(file["keys"].tolist(), file["records"], reasons, strict=True)
                    self.found = {key: (record, reason) for key, record, reason in rows}
        except Exception:  # an old or damaged cache is built again
            self.found = {}

    def find(self, sample: Sample) -> tuple[Records, str] | None:
        """The record of a file and the reason of its problem, if any; None if it is new or was changed."""
        return self.found.get(_key(sample))

    def has_all(self, manifest: Manifest) -> bool:
        """Whether every file of the manifest has been scanned."""
        return bool(self.found) and all(self.find(sample) is not None for sample in manifest.samples)

    def save(self, samples: Sequence[Sample], found: Sequence[tuple[Records, str]], *, others: bool) -> None:
        """Store records, together with those of `others` if wanted; write errors are ignored."""
        lasting = {_key(s): f for s, f in zip(samples, found, strict=True) if not f[0]["passing"]}
        all_found = {**self.found, **lasting} if others else lasting
        content = io.BytesIO()
        np.savez(
            content,
            version=VERSION,
            keys=np.array(list(all_found), "S16"),
            records=np.array([record for record, _ in all_found.values()], RECORD),
            reasons=np.frombuffer(json.dumps([r for _, r in all_found.values()]).encode(), np.uint8),
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, content.getvalue())
        except (OSError, ConvnetError):
            return


def _key(sample: Sample) -> bytes:
    entry = sample.entry
    text = f"{entry.name}\0{entry.size}\0{entry.stamp}"
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()[:16].encode()
