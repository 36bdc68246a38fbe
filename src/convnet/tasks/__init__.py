"""What a network can be for: one module per task."""

from convnet.tasks import classification, image_to_image, segmentation
from convnet.tasks.classification import Classified
from convnet.tasks.maps import outputs_of
from convnet.tasks.task import TASKS, Evaluation, Score, Task, as_picture, evaluation_batch

__all__ = [
    "TASKS",
    "Classified",
    "Evaluation",
    "Score",
    "Task",
    "as_picture",
    "classification",
    "evaluation_batch",
    "image_to_image",
    "outputs_of",
    "segmentation",
]
