"""The loop and what it needs: losses, optimizers, schedules, regularisers, metrics, the gradient check."""

from convnet.training.evaluation import Evaluation, evaluate
from convnet.training.events import EpochEnd, Event, Listener, StepEnd, StopTraining
from convnet.training.gradient_check import GradientCheck, check_gradients
from convnet.training.loop import fit
from convnet.training.losses import LOSSES
from convnet.training.optimizers import OPTIMIZERS, parameter_groups
from convnet.training.regularizers import Regularizers
from convnet.training.schedules import SCHEDULES, Schedule, Timing
from convnet.training.state import Progress, Training, make_ema

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "EpochEnd",
    "Evaluation",
    "Event",
    "GradientCheck",
    "Listener",
    "Progress",
    "Regularizers",
    "Schedule",
    "StepEnd",
    "StopTraining",
    "Timing",
    "Training",
    "check_gradients",
    "evaluate",
    "fit",
    "make_ema",
    "parameter_groups",
]
