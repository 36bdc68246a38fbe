"""What a network can be for: one module per task."""

from convnet.tasks import classification, image_to_image, multi_label, segmentation
from convnet.tasks.classification import Classified
from convnet.tasks.maps import outputs_of
from convnet.tasks.multi_label import Labelled
from convnet.tasks.task import TASKS, Evaluation, Score, Task, as_picture, evaluation_batch

__all__ = [
    "TASKS",
    "Classified",
    "Evaluation",
    "Labelled",
    "Score",
    "Task",
    "as_picture",
    "classification",
    "evaluation_batch",
    "image_to_image",
    "multi_label",
    "outputs_of",
    "segmentation",
]
