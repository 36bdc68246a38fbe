"""Decoding and resizing photos on one thread, against Pillow and OpenCV; crops from a pack; the audit.

    python benchmarks/decode.py [--flowers FOLDER] [--opencv]      (pip install opencv-python-headless)

All contenders take turns in one process; figures are medians of the rounds, ratios medians of the ratios
within each round.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from photos import sample_photos, write_folder
from PIL import Image

from convnet.data import Preprocess, list_data
from convnet.data.audit.audit import audit
from convnet.data.files.image_reader import ImageReader
from convnet.data.images.read import read_image
from convnet.device import keep_freed_memory
from convnet.types import ImageShape

SIDE = 224
SHAPE = ImageShape(3, SIDE, SIDE)
STRETCH = Preprocess(image_size=SIDE, resize="stretch")
Contender = Callable[[bytes], np.ndarray]


def ours(content: bytes) -> np.ndarray:
    return read_image(content, SHAPE, STRETCH)


def pillow(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def opencv(content: bytes) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def compare(contenders: dict[str, Callable[[], object]], count: int, rounds: int) -> None:
    """Print microseconds per image, and how many times as long as the first each takes."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(rounds):
        for name, work in contenders.items():
            begun = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - begun) / count)
    first = next(iter(times.values()))
    for name, taken in times.items():
        ratio = statistics.median(t / f for t, f in zip(taken, first, strict=True))
        print(f"  {name:<34} {1e6 * statistics.median(taken):>9.0f} µs  {ratio:6.2f}×")


def all_of(contender: Contender, photos: Sequence[bytes]) -> Callable[[], object]:
    def work() -> None:
        for content in photos:
            contender(content)

    return work


def agreement(photos: Sequence[bytes]) -> float:
    """The lowest PSNR against Pillow, in dB."""
    errors = [np.square(ours(c).astype(float) - pillow(c)).mean() for c in photos]
    return float(10 * np.log10(255**2 / max(errors)))


def decoding(name: str, photos: Sequence[bytes], rounds: int, with_opencv: bool) -> None:
    print(f"{name}: decode and resize to {SIDE}, one thread (n = {len(photos)})")
    print(f"  agrees with Pillow to {agreement(photos):.1f} dB or better")
    contenders: dict[str, Contender] = {"convnet": ours, "Pillow": pillow}
    if with_opencv:
        contenders["OpenCV, INTER_AREA"] = opencv
    compare({n: all_of(f, photos) for n, f in contenders.items()}, len(photos), rounds)


def crops(photos: Sequence[bytes], rounds: int) -> None:
    """Random 160-pixel crops: from a pack of whole 500×375 images, and by Pillow from the file."""
    side = 160
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        for i, content in enumerate(photos):
            folder = Path(place) / "photos" / str(i % 2)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.jpg").write_bytes(content)
        manifest = list_data(f"{place}/photos")
        files = ImageReader(manifest, Preprocess(), ImageShape(3, 375, 500))
        pack = files.build(np.arange(len(files)), lambda items, total: items)
        generator = np.random.default_rng(0)

        def place_of() -> tuple[int, int]:
            return int(generator.integers(0, 375 - side)), int(generator.integers(0, 500 - side))

        def from_pack() -> None:
            for i in range(len(photos)):
                top, left = place_of()
                pack.rows[i, top : top + side, left : left + side].copy()

        def by_pillow() -> None:
            for content in photos:
                top, left = place_of()
                image = Image.open(io.BytesIO(content))
                np.asarray(image.crop((left, top, left + side, top + side)))

        print(f"a random {side}-pixel crop")
        compare({"from the pack": from_pack, "Pillow: decode and crop": by_pillow}, len(photos), rounds)


def auditing(count: int, rounds: int) -> None:
    """The audit of a folder against decoding all of its files, both with a thread per core."""
    with tempfile.TemporaryDirectory() as place:
        root = write_folder(Path(place) / "photos", count)
        paths = sorted(root.rglob("*.jpg"))

        def raw() -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for _ in pool.map(lambda path: simplejpeg.decode_jpeg(path.read_bytes(), "RGB"), paths):
                    pass

        def audited(number: list[int] = [0]) -> None:  # noqa: B006
            number[0] += 1
            os.environ["XDG_CACHE_HOME"] = f"{place}/cache{number[0]}"
            audit(list_data(str(root)), check_labels=False)

        print(f"the audit of {count:,} photos, labels not checked")
        compare({"decode all, simplejpeg": raw, "audit": audited}, count, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flowers", type=Path)
    parser.add_argument("--opencv", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=10_000, help="of the audited folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    photos = sample_photos(60)
    decoding("500×375 photos", photos, arguments.rounds, arguments.opencv)
    if arguments.flowers:
        flowers = [path.read_bytes() for path in sorted(arguments.flowers.rglob("*.jpg"))]
        decoding("flowers", flowers, arguments.rounds, arguments.opencv)
    crops(photos, arguments.rounds)
    if arguments.photos:
        auditing(arguments.photos, min(5, arguments.rounds))


if __name__ == "__main__":
    main()
