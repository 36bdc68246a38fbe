"""The loop and what it needs: losses, optimizers, schedules, regularisers, metrics, the gradient check."""

from convnet.training.events import EpochEnd, Event, Listener, StepEnd, StopTraining
from convnet.training.gradient_check import GradientCheck, check_gradients
from convnet.training.image_losses import structural_similarity
from convnet.training.loop import fit
from convnet.training.losses import LOSS_TARGETS, LOSSES, Loss
from convnet.training.metrics import BatchMetric, correct_classes, label_agreement
from convnet.training.optimizers import OPTIMIZERS, Freezing, parameter_groups, rate_factors
from convnet.training.regularizers import Regularizers
from convnet.training.schedules import SCHEDULES, Schedule, Timing
from convnet.training.state import Progress, Training, make_ema

__all__ = [
    "LOSSES",
    "LOSS_TARGETS",
    "OPTIMIZERS",
    "SCHEDULES",
    "BatchMetric",
    "EpochEnd",
    "Event",
    "Freezing",
    "GradientCheck",
    "Listener",
    "Loss",
    "Progress",
    "Regularizers",
    "Schedule",
    "StepEnd",
    "StopTraining",
    "Timing",
    "Training",
    "check_gradients",
    "correct_classes",
    "fit",
    "label_agreement",
    "make_ema",
    "parameter_groups",
    "rate_factors",
    "structural_similarity",
]
