"""Tasks: classification, multi-label, segmentation, image-to-image; one module each."""

from convnet.tasks import classification, image_to_image, multi_label, segmentation
from convnet.tasks.class_prediction import ClassPrediction
from convnet.tasks.classification import ClassificationResult
from convnet.tasks.dense import dense_outputs
from convnet.tasks.multi_label import MultiLabelResult
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Labels,
    Prediction,
    Score,
    Task,
    as_picture,
    evaluation_batch,
)

__all__ = [
    "TASKS",
    "ClassPrediction",
    "ClassificationResult",
    "Evaluation",
    "Labels",
    "MultiLabelResult",
    "Prediction",
    "Score",
    "Task",
    "as_picture",
    "classification",
    "dense_outputs",
    "evaluation_batch",
    "image_to_image",
    "multi_label",
    "segmentation",
]
