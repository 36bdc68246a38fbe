"""Run the blocks of every chapter and collect the pictures that it shows.

    python docs/course/build.py [CHAPTER…]

Blocks marked `shell` need MNIST or CIFAR-10. Those that make pictures run where the data is found
(`CONVNET_DATA`); elsewhere their pictures stay as they are.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

COURSE = Path(__file__).parent
PHOTOS = COURSE.parent.parent / "tests" / "data" / "photos"
BLOCK = re.compile(r"^```(sh|shell|console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\(images/([^)\s]+)\)")
DATA = ("mnist", "cifar10")

LARGE, WIDEST = 150_000, 1400


def prepare(folder: Path) -> None:
    """Write the photos that the course uses."""
    for name, pixels in zip(("china.jpg", "flower.jpg"), load_sample_images().images, strict=True):
        Image.fromarray(pixels).save(folder / name, quality=95)
    shutil.copytree(PHOTOS, folder / "my-photos", ignore=shutil.ignore_patterns("*.txt"))


def pictures(page: Path) -> list[str]:
    """The pictures that the commands of a page make, relative to its folder."""
    return PICTURE.findall(page.read_text())


def commands(language: str, block: str) -> Iterator[list[str]]:
    """The commands of a block."""
    if language == "python":
        yield [sys.executable, "-c", block]
        return
    for line in block.replace("\\\n", " ").splitlines():
        if language == "console" and not line.startswith("$ "):
            continue
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            yield [sys.executable, "-m", "convnet", *words[1:]]


def shrink(picture: Path) -> None:
    """Store a large PNG with 256 colors and at most 1,400 pixels in width."""
    if picture.suffix == ".png" and picture.stat().st_size > LARGE:
        image = Image.open(picture).convert("RGB")
        image.thumbnail((WIDEST, 10_000))
        image.quantize(256, Image.Quantize.FASTOCTREE).save(picture, optimize=True)


def makes_picture(page: Path, block: str) -> bool:
    """Whether a block writes a picture of the page."""
    return any(picture in block for picture in pictures(page))


def has_data(block: str) -> bool:
    """Whether the data sets that a block names are on this machine."""
    root = os.environ.get("CONVNET_DATA")
    needed = [name for name in DATA if name in block]
    return root is not None and all((Path(root) / name).is_dir() for name in needed)


def build(page: Path) -> str:
    """Run a chapter in an empty folder; the line to print about it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for language, block in BLOCK.findall(page.read_text()):
            if language == "shell" and not (makes_picture(page, block) and has_data(block)):
                continue
            for command in commands(language, block):
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
                is_error = f"$ convnet {shlex.join(command[3:])}\nconvnet: error" in block
                if done.returncode and not is_error:
                    sys.exit(f"{page.name}: {shlex.join(command[2:])}\n{done.stderr}")
        kept = []
        for picture in pictures(page):
            target = COURSE / "images" / picture
            if (folder / picture).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / picture, target)
                shrink(target)
            else:
                kept.append(picture)
    seconds = f"{page.stem}: {time.monotonic() - began:.0f} s"
    return seconds + (f"; not made again: {', '.join(kept)}" if kept else "")


def main() -> None:
    """Build the chapters named on the command line, or all, two at a time."""
    chosen = [word.removesuffix(".md") for word in sys.argv[1:]]
    pages = [page for page in sorted(COURSE.glob("*.md")) if not chosen or page.stem in chosen]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ThreadPoolExecutor(2) as pool:
        for line in pool.map(build, pages):
            print(line, flush=True)


if __name__ == "__main__":
    main()
