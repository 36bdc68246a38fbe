"""A copy of a folder of photos with every fault planted that an audit has to find."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass
class Planted:
    """The folder, and the paths below it by the kind of finding that has to name them."""

    root: Path
    paths: dict[str, set[str]] = field(default_factory=dict)
    partners: dict[str, str] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)

    def add(self, kind: str, path: Path) -> None:
        self.paths.setdefault(kind, set()).add(path.relative_to(self.root).as_posix())


def plant(photos: Path, root: Path, seed: int = 0) -> Planted:
    """Copy `photos` (train/ and val/ with a folder per class) to `root` and spoil it."""
    shutil.copytree(photos, root)
    planted, generator = Planted(root), np.random.default_rng(seed)
    train = sorted((root / "train").rglob("*.jpg"))
    chosen = [train[i] for i in generator.permutation(len(train))]

    def take(count: int) -> list[Path]:
        taken, chosen[:] = chosen[:count], chosen[count:]
        return taken

    for path in take(30):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * generator.uniform(0.3, 0.9))])
        planted.add("truncated", path)
    for i, path in enumerate(take(40)):
        copy = root / "val" / path.parent.name / f"copy_{i}.jpg"
        if i < 20:
            shutil.copy(path, copy)
        else:
            with Image.open(path) as image:
                size = (round(image.width * 0.7), round(image.height * 0.7))
                image.convert("RGB").resize(size).save(copy, quality=60)
        kind = "exact_duplicate" if i < 20 else "near_duplicate"
        planted.add(kind, copy)
        planted.partners[copy.relative_to(root).as_posix()] = path.relative_to(root).as_posix()
    classes = sorted(p.name for p in (root / "train").iterdir() if p.is_dir())
    for path in take(10):
        others = [name for name in classes if name != path.parent.name]
        target = root / "train" / others[generator.integers(len(others))] / f"swapped_{path.name}"
        path.rename(target)
        planted.add("suspect_label", target)
    for i, gray in enumerate((0, 80, 127, 200, 255)):
        path = root / "train" / classes[i] / f"blank_{i}.png"
        Image.new("RGB", (320, 240), (gray, gray, gray)).save(path)
        planted.add("blank", path)
    _odd_files(planted, classes)
    for name, path in zip(("a b", "größe é", "two\nlines", "🌹🌷"), take(4), strict=True):
        renamed = path.with_name(f"{name}.jpg")
        path.rename(renamed)
        planted.plain.add(renamed.relative_to(root).as_posix())
    return planted


def _odd_files(planted: Planted, classes: list[str]) -> None:
    root = planted.root
    hidden = root / "train" / ".thumbnails"
    hidden.mkdir()
    shutil.copy(next((root / "val").rglob("*.jpg")), hidden / "x.jpg")
    planted.add("ignored_file", hidden)
    text, empty = root / "train" / classes[0] / "text.jpg", root / "train" / classes[1] / "empty.jpg"
    text.write_text("no picture at all")
    empty.touch()
    planted.add("not_an_image", text)
    planted.add("not_an_image", empty)
    (root / "train" / "nothing").mkdir()
    planted.paths["empty_class"] = {"nothing"}
    loop = root / "train" / classes[2] / "loop"
    loop.symlink_to(root / "train", target_is_directory=True)
    planted.add("ignored_file", loop)
    locked = root / "train" / classes[3] / "locked.jpg"
    shutil.copy(next((root / "train" / classes[3]).glob("*.jpg")), locked)
    if os.geteuid():
        locked.chmod(0)
        planted.add("unreadable", locked)
    else:
        locked.unlink()  # to root everything is readable
