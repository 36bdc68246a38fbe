from __future__ import annotations

import numpy as np

from convnet.data.audit.labels import image_features, suspects


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images 32×32 of two classes: horizontal and vertical stripes."""
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = np.where(np.arange(32) % 8 < 4, 60, 180)
    images = np.stack(
        [np.tile(wave, (32, 1)) if label else np.tile(wave[:, None], (1, 32)) for label in labels]
    )
    noisy = images[..., None] + draws.integers(-30, 30, (count, 32, 32, 3))
    return noisy.clip(0, 255).astype(np.uint8), labels


def test_a_swapped_label_is_found() -> None:
    images, labels = stripes(40, seed=0)
    labels[7] = 1 - labels[7]
    (found, *_) = suspects(image_features(images), labels, ("horizontal", "vertical"))
    assert found.index == 7
    assert found.other == ("horizontal", "vertical")[1 - labels[7]]


def test_classes_of_fewer_than_ten_images_are_not_checked() -> None:
    images, labels = stripes(18, seed=0)
    labels[3] = 1 - labels[3]
    assert suspects(image_features(images), labels, ("horizontal", "vertical")) == []
