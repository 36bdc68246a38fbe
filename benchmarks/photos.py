"""JPEG photos for benchmarks: scikit-learn's two sample photos in many cuts, 500×375 pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SIZE = (500, 375)
QUALITIES = (75, 85, 95)


def sample_photos(count: int, seed: int = 0) -> list[bytes]:
    """Different cuts of at least two thirds of a photo, at three qualities."""
    originals = [Image.fromarray(array) for array in load_sample_images().images]
    generator = np.random.default_rng(seed)
    photos = []
    for i in range(count):
        original = originals[i % len(originals)]
        share = generator.uniform(0.66, 1.0)
        width, height = round(original.width * share), round(original.height * share)
        left = generator.integers(0, original.width - width + 1)
        top = generator.integers(0, original.height - height + 1)
        cut = original.crop((left, top, left + width, top + height)).resize(SIZE, Image.Resampling.BICUBIC)
        content = io.BytesIO()
        cut.save(content, "JPEG", quality=QUALITIES[i % len(QUALITIES)])
        photos.append(content.getvalue())
    return photos


def write_folder(root: Path, count: int, classes: int = 5) -> Path:
    """The same as files, in a folder per class."""
    for i, content in enumerate(sample_photos(count)):
        folder = root / f"class_{i % classes}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:06d}.jpg").write_bytes(content)
    return root
