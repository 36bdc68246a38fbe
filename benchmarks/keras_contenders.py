"""The Keras contenders: the lectures' network through `model.fit`.

A worker, like torch_contenders.py, for an interpreter that has keras, tensorflow-cpu and torch.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

name, _, steps, data_dir = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
os.environ["KERAS_BACKEND"] = name.split("-")[1]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402 (the backend is chosen before)
from keras_model import BATCH, mnist, network  # noqa: E402

if name.endswith("bf16"):
    keras.config.set_dtype_policy("mixed_bfloat16")
count = BATCH * steps
images, labels = (part[:count] for part in mnist(data_dir, "train"))
model = network()
model.fit(images, labels, batch_size=BATCH, verbose=0)
print("@ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, verbose=0)
    print(f"@{count / (time.perf_counter() - start)}", flush=True)
