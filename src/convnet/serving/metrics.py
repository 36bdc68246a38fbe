"""Metrics for Prometheus: latencies, batches, the queue, and predictions by class."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Histogram(
            "convnet_request_seconds", "Seconds per request.", ("route", "status"),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.decoding = Histogram(
            "convnet_decode_seconds", "Seconds to decode and resize an image.",
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.computing = Histogram(
            "convnet_model_seconds", "Seconds of the model per batch.", ("model", "version"),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "convnet_batch_size", "Images per batch.", ("model", "version"),
            buckets=SIZES, registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "convnet_waiting_images", "Images that are decoded or wait for a model.", registry=self.registry
        )
        self.predictions = Counter(
            "convnet_predictions", "Predictions by class, for the detection of drift.",
            ("model", "version", "class_name"), registry=self.registry,
        )  # fmt: skip
        self.unknown = Counter(
            "convnet_unknown", "Predictions that are called unknown.",
            ("model", "version"), registry=self.registry,
        )  # fmt: skip
        self.reloads = Counter(
            "convnet_reloads", "Bundles that were replaced.", ("model", "outcome"), registry=self.registry
        )

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
