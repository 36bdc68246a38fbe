"""Predictions as the JSON of answers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from convnet.outputs import ClassPrediction, LabelsPrediction, Prediction
from convnet.serving.metrics import Metrics
from convnet.serving.served_model import ServedModel


class Top(BaseModel):
    """A class and its calibrated probability."""

    class_name: str = Field(alias="class")
    probability: float


class ClassAnswer(BaseModel):
    """The prediction for one image by a classifier.

    Other tasks answer with "labels" and "top", or with PNG files in base64: "mask" and "overlay", or "made".
    """

    class_name: str = Field(alias="class")
    probability: float
    unknown: bool
    top: list[Top]


class ModelName(BaseModel):
    """The model that has answered."""

    name: str
    version: str


class PredictAnswer(BaseModel):
    """One prediction per image, in order, and the model."""

    predictions: list[ClassAnswer | dict[str, Any]]
    model: ModelName


def answer_of(predictions: Iterable[Prediction], top: int, model: ServedModel) -> dict[str, Any]:
    """The answer to a request."""
    return {
        "predictions": [as_json(prediction, top) for prediction in predictions],
        "model": {"name": model.name, "version": model.version},
    }


def as_json(prediction: Prediction, top: int) -> dict[str, Any]:
    """A prediction as plain values, with at most `top` classes."""
    if isinstance(prediction, ClassPrediction | LabelsPrediction):
        pairs = zip(prediction.classes[:top], prediction.probabilities[:top], strict=True)
        best = [{"class": name, "probability": value} for name, value in pairs]
        if isinstance(prediction, LabelsPrediction):
            return {"labels": list(prediction.labels), "top": best}
        return {**best[0], "unknown": prediction.unknown, "top": best}
    plain = {key: value for key, value in prediction.as_dict().items() if key not in ("image", "series")}
    files = {key: base64.b64encode(content).decode() for key, content in prediction.files().items()}
    return {**plain, **files}


def count(predictions: Iterable[Prediction], model: ServedModel, metrics: Metrics) -> None:
    """Count predictions by class."""
    for prediction in predictions:
        if isinstance(prediction, ClassPrediction):
            metrics.predictions.labels(model.name, model.version, prediction.classes[0]).inc()
            if prediction.unknown:
                metrics.unknown.labels(model.name, model.version).inc()
        elif isinstance(prediction, LabelsPrediction):
            for label in prediction.labels:
                metrics.predictions.labels(model.name, model.version, label).inc()
