"""`Training`: the complete state of training, which can be saved and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convnet.device import Compute, derived_seed, seed_draws
from convnet.errors import DivergedError
from convnet.mean_loss import as_mean
from convnet.targets import BatchMetric, Loss
from convnet.training.optimizers import Freezing
from convnet.training.regularizers import Regularizers
from convnet.training.schedules import Schedule, Timing


@dataclass
class Progress:
    """The position of training: epochs and steps done, and the sums of the current epoch."""

    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    loss_sums: list[float] = field(default_factory=list)
    loss_weights: list[float] = field(default_factory=list)
    score_sum: float = 0
    score_weight: float = 0

    def add(self, losses: Sequence[float], weights: Sequence[float], score: float, weight: float) -> None:
        """Count one batch: the mean and the weight of each part of the loss, and the sum of the metric."""
        sums, total = self.loss_sums or [0.0] * len(losses), self.loss_weights or [0.0] * len(losses)
        self.loss_sums = [before + loss * w for before, loss, w in zip(sums, losses, weights, strict=True)]
        self.loss_weights = [before + w for before, w in zip(total, weights, strict=True)]
        self.score_sum += score
        self.score_weight += weight

    def next_epoch(self) -> None:
        """Start the next epoch."""
        self.epoch += 1
        self.step_in_epoch, self.score_sum, self.score_weight = 0, 0, 0
        self.loss_sums, self.loss_weights = [], []

    def loss(self, factors: Sequence[float]) -> float:
        """The mean loss of the epoch so far, whose parts have these factors."""
        parts = zip(factors, self.loss_sums, self.loss_weights, strict=False)
        return sum(factor * total / weight for factor, total, weight in parts if weight)


@dataclass(frozen=True)
class Pace:
    """The position on the schedule: steps of another batch size count for more or less.

    Attributes:
        step: The step from which on `rate` applies.
        start: The position at that step.
        rate: The position gained per step; the batch size relative to the recipe's.
    """

    step: int = 0
    start: float = 0.0
    rate: float = 1.0

    def position(self, step: int) -> int:
        """The position of a step, in steps of the recipe's batch size."""
        return round(self.start + (step - self.step) * self.rate)

    def changed(self, step: int, rate: float) -> Pace:
        """The pace with another rate from `step` on."""
        return Pace(step, self.start + (step - self.step) * self.rate, rate)


@dataclass
class Training:
    """A model and everything that trains it.

    Attributes:
        model: The network.
        loss: A function of outputs and targets.
        optimizer: The optimizer.
        schedule: The learning-rate schedule. Default: constant.
        regularizers: Penalties and constraints.
        clip_norm: The largest norm of the gradient.
        ema: A running average of the weights that is evaluated in their place.
        metric: The metric shown next to the loss.
        freezing: Parts that are not trained at first.
        compute: Device and precision.
        seed: The seed of random draws in the model (dropout); the draws of a step depend only on the seed
            and the step.
        progress: The position of training.
        pace: The position of training on the schedule.
        idle_seconds: How long training was paused; not counted in the time of epochs.
        reports_at_once: Whether the results of a step are read from the device before the next step.
    """

    model: nn.Module
    loss: Loss
    optimizer: optim.Optimizer
    schedule: Schedule = field(default_factory=lambda: Schedule(Timing(1, 1), 0, lambda step, total: 1.0))
    regularizers: Regularizers = field(default_factory=Regularizers)
    clip_norm: float | None = None
    ema: AveragedModel | None = None
    metric: BatchMetric | None = None
    freezing: Freezing | None = None
    compute: Compute = field(default_factory=Compute)
    seed: int = 0
    progress: Progress = field(default_factory=Progress)
    pace: Pace = field(default_factory=lambda: Pace())
    idle_seconds: float = 0.0
    reports_at_once: bool = False

    def __post_init__(self) -> None:
        self.use_optimizer(self.optimizer)

    def use_optimizer(self, optimizer: optim.Optimizer) -> None:
        """Train with this optimizer from the next step on."""
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    @property
    def initial_lr(self) -> float:
        """The learning rate that the schedule multiplies."""
        return float(self.optimizer.param_groups[0]["initial_lr"])

    @property
    def lr(self) -> float:
        """The learning rate of the last step, in the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def begin_epoch(self) -> None:
        """Put the model into training mode, except for frozen parts."""
        self.model.train()
        if self.freezing is not None:
            self.freezing.begin(self.progress.epoch)

    def begin_step(self) -> None:
        """Seed the random draws of the step and set its learning rate."""
        seed_draws(derived_seed(self.seed, "step", self.progress.step), self.compute.device)
        factor = self.schedule.factor(self.pace.position(self.progress.step))
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def forward(self, images: Tensor) -> Any:
        """The model's outputs in the training precision."""
        with self.compute.autocast():
            return self.model(self.compute.cast(images))

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated: the averaged one if there is one."""
        return self.model if self.ema is None else self.ema.module

    def require_finite(self) -> None:
        """Check the weights before they are saved.

        Raises:
            DivergedError: A weight is NaN or infinite.
        """
        numbers = (*self.model.parameters(), *self.model.buffers())  # the statistics of norms, too
        if not all(torch.isfinite(tensor).all() for tensor in numbers):
            raise DivergedError(
                f"the weights became infinite at step {self.progress.step} (learning rate {self.lr:g})"
            )

    def capture(self) -> dict[str, Any]:
        """The state as nested dicts and lists of tensors and numbers; tensors are not copied."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "progress": asdict(self.progress),
        }

    def restore(self, captured: dict[str, Any]) -> None:
        """Restore the state returned by `capture`."""
        self.restore_weights(captured)
        self.optimizer.load_state_dict(captured["optimizer"])
        self._match_layouts()
        self.schedule.load_state_dict(captured["schedule"])

    def restore_weights(self, captured: dict[str, Any]) -> None:
        """Restore the network and the position of training; nothing that only further training needs."""
        self.model.load_state_dict(captured["model"])
        if self.ema is not None:
            self.ema.load_state_dict(captured["ema"])
        progress = dict(captured["progress"])
        if "loss_sum" in progress:  # in checkpoints of earlier versions
            count, weight = len(as_mean(self.loss).terms), progress.pop("loss_weight", None)
            progress["loss_weights"] = [progress.pop("seen", weight)] * count
            progress["loss_sums"] = [progress.pop("loss_sum")] * count
        self.progress = Progress(**progress)

    def _match_layouts(self) -> None:
        """Give each moment the memory layout of its parameter, which fused kernels require."""
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if torch.is_tensor(value) and value.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def make_ema(model: nn.Module, decay: float) -> AveragedModel:
    """A running average of weights and buffers: a ← decay·a + (1 − decay)·w after every step."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
