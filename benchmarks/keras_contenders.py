"""Keras's `model.fit` on the lectures' network, as a worker (see torch_contenders.py)."""

from __future__ import annotations

import gzip
import os
import sys
import time
from pathlib import Path

name, _, steps, data_dir = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
os.environ["KERAS_BACKEND"] = name.split("-")[1]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402 (the backend is chosen before)
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

BATCH = 128

if name.endswith("bf16"):
    keras.config.set_dtype_policy("mixed_bfloat16")
with gzip.open(data_dir / "mnist" / "train-images-idx3-ubyte.gz") as file:
    images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1).astype("float32") / 255
with gzip.open(data_dir / "mnist" / "train-labels-idx1-ubyte.gz") as file:
    labels = keras.utils.to_categorical(np.frombuffer(file.read(), np.uint8, offset=8), 10)
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
count = BATCH * steps
images, labels = images[:count], labels[:count]
model.fit(images, labels, batch_size=BATCH, verbose=0)
print("@ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, verbose=0)
    print(f"@{count / (time.perf_counter() - start)}", flush=True)
