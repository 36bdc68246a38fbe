"""The main metric of a run on its held-out split: of training, from its bundle in every form, over HTTP.

    python benchmarks/exported_accuracy.py RUN BUNDLE

The bundle was exported with --format onnx --quantize int8. Over HTTP every sample is a request of its own:
its file, or its pixels as .npy, or its steps as .csv.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from serving import free_port, server

from convnet.data import Dataset, location, read_sample
from convnet.workflows.bundle_run import load_any_run
from convnet.workflows.evaluate import evaluate_run

FORMS = [
    *((backend, "fp32") for backend in ("torch", "onnxruntime", "openvino")),
    *((backend, "int8") for backend in ("onnxruntime", "openvino")),
]


def request_of(dataset: Dataset, index: int) -> tuple[bytes, str]:
    """The body of a request for a sample, and its type."""
    path = Path(location(dataset, index))
    if path.is_file() and dataset.info.modality == "images":
        return path.read_bytes(), "application/octet-stream"
    sample = read_sample(dataset, index).images[0].numpy()
    if dataset.info.modality == "series":
        return f"{','.join(map(repr, sample[0, 0].tolist()))}\n".encode(), "text/csv"
    buffer = io.BytesIO()
    np.save(buffer, sample.transpose(1, 2, 0))
    return buffer.getvalue(), "application/octet-stream"


def score(answer: dict[str, Any], dataset: Dataset, index: int) -> tuple[float, float]:
    """The correct outputs of a prediction, and the number of outputs."""
    target = read_sample(dataset, index).targets[0]
    if "mask" not in answer:
        return float(answer["class"] == dataset.info.classes[int(target)]), 1.0
    with Image.open(io.BytesIO(base64.b64decode(answer["mask"]))) as image:
        values = np.array(dataset.info.mask_values or range(len(dataset.info.classes)))
        found = values[target.numpy()] == np.asarray(image)
    return float(found.sum()), float(found.size)


def over_http(bundle: Path, dataset: Dataset, indices: list[int]) -> float:
    """The metric over HTTP, one request per sample."""
    port, right, total = free_port(), 0.0, 0.0
    command = [sys.executable, "-m", "convnet", "serve", bundle, "--port", port]
    with server(command, f"http://127.0.0.1:{port}/readyz"):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/v1/models")
        name = json.loads(connection.getresponse().read())["models"][0]["name"]
        for index in indices:
            body, kind = request_of(dataset, index)
            connection.request("POST", f"/v1/models/{name}/predict?top=1", body, {"content-type": kind})
            found = connection.getresponse()
            content = json.loads(found.read())
            if found.status != 200:
                raise SystemExit(f"{location(dataset, index)}: {content['error']}")
            hits, outputs = score(content["predictions"][0], dataset, index)
            right, total = right + hits, total + outputs
    return right / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    arguments = parser.parse_args()
    run = load_any_run(arguments.run)
    label = run.task.score
    stored = (run.result["test"] or run.result["val"])[label.key]
    measured = evaluate_run(run)
    count = len(measured.evaluation)
    print(f"{arguments.bundle.name}: {label.label} on {run.data['name']}, n = {count:,}")
    print(f"  {'training':<20} {stored:.4f}")
    for backend, precision in FORMS:
        found = evaluate_run(load_any_run(arguments.bundle, backend=backend, precision=precision))
        print(f"  {f'{backend} {precision}':<20} {found.evaluation.score:.4f}", flush=True)
    indices = measured.evaluation.indices.tolist()
    print(f"  {'over HTTP':<20} {over_http(arguments.bundle, measured.dataset, indices):.4f}")


if __name__ == "__main__":
    main()
