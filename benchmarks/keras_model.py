"""The lectures' network and MNIST as a Keras user writes them; import it after choosing KERAS_BACKEND."""

from __future__ import annotations

import gzip
from pathlib import Path

import keras
import numpy as np
from keras import layers

BATCH = 128


def mnist(data_dir: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images N×28×28×1 in 0…1 and one-hot labels; `part` is "train" or "t10k"."""
    with gzip.open(data_dir / "mnist" / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(data_dir / "mnist" / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images.astype("float32") / 255, keras.utils.to_categorical(labels, 10)


def network() -> keras.Model:
    """The programming task's network, compiled with Adam."""
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 2, padding="same", activation="relu"),
            layers.MaxPooling2D(2, strides=1),
            layers.Dropout(0.35),
            layers.Flatten(),
            layers.Dense(256, activation="tanh"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model
