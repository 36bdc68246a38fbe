"""The accuracy of Keras on MNIST with the lectures' network and the same number of images and epochs.

KERAS_PYTHON benchmarks/keras_accuracy.py --data-dir DATA       # KERAS_BACKEND is tensorflow unless it is set
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras_model import BATCH, mnist, network

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("--data-dir", type=Path, required=True)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument(
    "--images",
    type=int,
    default=54_000,
    help="convnet holds out a tenth of the training images for validation",
)
options = parser.parse_args()
images, labels = mnist(options.data_dir, "train")
accuracies = []
for seed in range(options.seeds):
    keras.utils.set_random_seed(seed)
    chosen = np.random.permutation(len(images))[: options.images]
    model = network()
    model.fit(images[chosen], labels[chosen], batch_size=BATCH, epochs=options.epochs, verbose=0)
    accuracies.append(model.evaluate(*mnist(options.data_dir, "t10k"), verbose=0)[1])
    print(f"seed {seed}: test accuracy {accuracies[-1]:.2%}", flush=True)
if options.seeds > 1:
    print(f"{statistics.mean(accuracies):.2%} ± {statistics.stdev(accuracies):.2%}")
