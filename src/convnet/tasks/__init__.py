"""Tasks: classification, multi-label, segmentation, image-to-image; one module each."""

from convnet.tasks import classification, image_to_image, multi_label, segmentation
from convnet.tasks.classification import ClassificationResult
from convnet.tasks.dense import dense_outputs
from convnet.tasks.multi_label import MultiLabelResult
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Score,
    Task,
    as_picture,
)

__all__ = [
    "TASKS",
    "ClassificationResult",
    "Evaluation",
    "MultiLabelResult",
    "Score",
    "Task",
    "as_picture",
    "classification",
    "dense_outputs",
    "image_to_image",
    "multi_label",
    "segmentation",
]
