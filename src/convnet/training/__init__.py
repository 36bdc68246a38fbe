"""Training: the loop, losses, optimizers, schedules, regularizers, and the gradient check."""

from convnet.mean_loss import MeanLoss, RunningLoss, as_mean
from convnet.targets import Loss
from convnet.training.events import (
    EpochEnd,
    Event,
    Listener,
    StepEnd,
    StopTraining,
    TrainingStart,
    labeled,
    notify,
)
from convnet.training.gradient_check import GradientCheck, check_gradients
from convnet.training.logistic import Logistic, fit_logistic
from convnet.training.loop import fit
from convnet.training.losses import LOSSES
from convnet.training.meter import Meter
from convnet.training.optimizers import OPTIMIZERS, Freezing, network_parts, parameter_groups, rate_factors
from convnet.training.regularizers import Regularizers
from convnet.training.schedules import SCHEDULES, Schedule, Timing
from convnet.training.state import Progress, Training, make_ema
from convnet.training.step import StepResult, train_step

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "EpochEnd",
    "Event",
    "Freezing",
    "GradientCheck",
    "Listener",
    "Logistic",
    "Loss",
    "MeanLoss",
    "Meter",
    "Progress",
    "Regularizers",
    "RunningLoss",
    "Schedule",
    "StepEnd",
    "StepResult",
    "StopTraining",
    "Timing",
    "Training",
    "TrainingStart",
    "as_mean",
    "check_gradients",
    "fit",
    "fit_logistic",
    "labeled",
    "make_ema",
    "network_parts",
    "notify",
    "parameter_groups",
    "rate_factors",
    "train_step",
]
