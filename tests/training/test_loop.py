from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from convnet.data import Augment, Loader, TensorDataset, from_tensors
from convnet.errors import DivergedError
from convnet.layers import ConvBlock, Dropout, FlattenLinear, Normalize
from convnet.tasks.metrics import correct_classes
from convnet.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    EpochEnd,
    Event,
    Regularizers,
    StepEnd,
    StopTraining,
    Timing,
    Training,
    fit,
    make_ema,
    parameter_groups,
)


def dataset(n: int = 70) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    images = torch.randint(0, 120, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images[:, :, 2:5] += (targets * 60).to(torch.uint8)[:, None, None, None]
    return from_tensors("s", images, targets, ("a", "b", "c"), [str(i) for i in range(n)])


def training(optimizer: str = "adam", schedule: str = "one-cycle", **options: Any) -> Training:
    torch.manual_seed(0)
    model = nn.Sequential(
        Normalize(torch.full((1, 1, 1, 1), 100.0), torch.full((1, 1, 1, 1), 50.0)),
        ConvBlock(1, 4),
        Dropout(0.2),
        FlattenLinear((4, 8, 8), 3),
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lr = {"adadelta": 1.0, "sgd": 0.1}.get(optimizer, 0.01)
    return Training(
        model,
        LOSSES.build("cross-entropy"),
        OPTIMIZERS.build(optimizer, parameter_groups(model, decay_all=False), lr=lr),
        SCHEDULES.build(schedule, Timing(9, 6)),
        metric=correct_classes,
        seed=3,
        **options,
    )


def loader(n: int = 70, **options: Any) -> Loader:
    return Loader(dataset(n), torch.arange(n), 8, seed=1, augment=Augment(**options))


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_the_loss_falls_with_every_optimizer(optimizer: str) -> None:
    ends: list[EpochEnd] = []
    fit(
        training(optimizer, "constant"), loader(), epochs=6,
        listeners=[lambda e: ends.append(e) if isinstance(e, EpochEnd) else None],
    )  # fmt: skip
    assert ends[-1].train_loss < 0.7 * ends[0].train_loss
    assert ends[-1].train_score > 0.8


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop", "adadelta"])
def test_going_on_from_any_step_gives_the_same_weights(optimizer: str, schedule: str) -> None:
    """Captured in the middle of an epoch, restored into fresh objects: bit for bit the same."""
    options: dict[str, Any] = {"regularizers": Regularizers(l2=1e-3, max_norm=2.0), "clip_norm": 1.0}
    batches = loader(flip=True, shift=1, mixup=0.2)

    def make() -> Training:
        fresh = training(optimizer, schedule, **options)
        fresh.ema = make_ema(fresh.model, 0.9)
        return fresh

    whole, rows = make(), list[float]()
    captured: dict[str, Any] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd):
            rows.append(event.loss)
            if event.step == 22:
                captured.update(
                    {k: _copy(v) for k, v in event.training.capture().items()}, rows_before=len(rows)
                )

    fit(whole, batches, epochs=5, listeners=[listen])
    again, later = make(), list[float]()
    before = captured.pop("rows_before")
    again.restore(captured)
    fit(
        again, batches, epochs=5,
        listeners=[lambda e: later.append(e.loss) if isinstance(e, StepEnd) else None],
    )  # fmt: skip
    assert later == rows[before:]
    for one, two in ((whole.model, again.model), (whole.evaluated, again.evaluated)):
        states = one.state_dict(), two.state_dict()
        assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return value.clone(memory_format=torch.contiguous_format) if isinstance(value, torch.Tensor) else value


def test_an_infinite_loss_stops_with_step_and_rate() -> None:
    broken = training()
    broken.loss = lambda logits, targets: logits.sum() * float("nan")
    with pytest.raises(DivergedError, match=r"became nan at step 1 \(learning rate 0\.0004"):
        fit(broken, loader(), epochs=1)


def test_a_listener_ends_training_cleanly() -> None:
    def stop_after_two(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch == 2:
            raise StopTraining

    stopped = training()
    fit(stopped, loader(), epochs=6, listeners=[stop_after_two])
    assert (stopped.progress.epoch, stopped.progress.step) == (2, 18)


def test_training_leaves_the_users_random_numbers_alone() -> None:
    trained, batches = training(), loader()
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    fit(trained, batches, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_clipping_bounds_the_step() -> None:
    def moved(clip: float | None) -> float:
        clipped = training("sgd", "constant", clip_norm=clip)
        before = [p.detach().clone() for p in clipped.model.parameters()]
        fit(clipped, loader(8), epochs=1)
        pairs = zip(clipped.model.parameters(), before, strict=True)
        return float(sum((p.detach() - b).square().sum() for p, b in pairs)) ** 0.5

    assert moved(None) > 0.01
    assert moved(0.01) == pytest.approx(0.1 * 0.01, rel=1e-3)  # lr × clip


def test_the_loop_imports_only_what_it_needs() -> None:
    heavy = ("lightning", "lightning_fabric", "matplotlib", "sklearn", "pyarrow", "rich", "convnet.models")
    code = f"import sys, convnet.training; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
