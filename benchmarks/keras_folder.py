"""Keras' image_dataset_from_directory and fit on a folder; run by folder_training.py with Keras' python."""

from __future__ import annotations

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers

SIDE = 160


def block(x: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    shortcut = x
    y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    if stride > 1 or x.shape[-1] != width:
        shortcut = layers.BatchNormalization()(layers.Conv2D(width, 1, stride, use_bias=False)(x))
    return layers.ReLU()(layers.add([y, shortcut]))


def resnet18(classes: int) -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.RandomFlip("horizontal")(layers.Rescaling(1 / 127.5, -1)(inputs))
    x = layers.Conv2D(64, 7, 2, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
    for i, width in enumerate((64, 128, 256, 512)):
        x = block(block(x, width, 1 if i == 0 else 2), width, 1)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


class Clock(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.ends.append(time.perf_counter())


if __name__ == "__main__":
    folder, batch = sys.argv[2], int(sys.argv[3])
    begun, clock = time.perf_counter(), Clock()
    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIDE, SIDE), batch_size=batch, crop_to_aspect_ratio=True, verbose=False
    )
    model = resnet18(len(data.class_names))
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(data.prefetch(2), epochs=2, verbose=0, callbacks=[clock])
    print("@", clock.ends[0] - begun, clock.ends[1] - clock.ends[0], 0.0)
