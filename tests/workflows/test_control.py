"""Requests to a running training: changes of the recipe, pauses, an early end; and their replay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from convnet.errors import ConvnetError, InterruptedRunError, RecipeError, RunError
from convnet.recipes import Recipe
from convnet.recipes.changes import changed
from convnet.recipes.resolve import choose_recipe
from convnet.runs import Change, StepLog, read_changes, write_changes
from convnet.training import Event, StepEnd
from convnet.workflows import Run, resume, train
from convnet.workflows.control import Control

CHANGES = [
    Change(5, "optimizer.lr", 0.002),
    Change(9, "batch_size", 32),
    Change(14, "optimizer.weight_decay", 0.01),
    Change(17, "regularizers.l1", 1e-4),
    Change(20, "optimizer", "adadelta"),
    Change(26, "batch_size", 100),
    Change(30, "model.dropout", 0.5),
    Change(33, "optimizer", "momentum"),
    Change(36, "optimizer.momentum", 0.5),
    Change(36, "optimizer.lr", 0.05),
]


def recipe(**more: object) -> Recipe:
    return choose_recipe("digits", {"epochs": 2, "precision": "fp32", "schedule": "cosine", **more})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "model.safetensors")


def same(one: Run, other: Run) -> bool:
    found, wanted = weights(one), weights(other)
    return all(torch.equal(found[name], wanted[name]) for name in wanted)


def at(step: int, act: Callable[[], object]) -> Callable[[Event], None]:
    """A listener that acts after a step."""

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd) and event.step == step:
            act()

    return listen


def test_a_run_with_changes_is_replayed_to_the_same_weights(tmp_path: Path) -> None:
    control = Control()
    listeners = [at(c.step, lambda c=c: control.change(c.field, c.value)) for c in CHANGES]  # type: ignore[misc]
    run = train(recipe(), tmp_path / "first", control=control, listeners=listeners, report=False)
    assert read_changes(run.path / "events.csv") == CHANGES
    found = Recipe.from_file(run.path / "recipe.yaml")
    assert found.optimizer.name == "adam" and found.batch_size == 64  # what training began with
    again = train(found, tmp_path / "again", control=Control(CHANGES), report=False)
    assert same(run, again)
    assert (again.path / "events.csv").read_bytes() == (run.path / "events.csv").read_bytes()
    plain = train(found, tmp_path / "plain", report=False)
    assert not same(run, plain)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with all changes that was not interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return train(recipe(), out, control=Control(CHANGES), report=False)


@pytest.mark.parametrize("stop", [12, 25, 36])
def test_a_run_with_changes_resumes_to_the_same_weights(tmp_path: Path, whole_run: Run, stop: int) -> None:
    control = Control(CHANGES)
    with pytest.raises(InterruptedRunError):
        train(recipe(), tmp_path / "run", control=control, listeners=[at(stop, control.stop)], report=False)
    assert same(whole_run, resume(tmp_path / "run"))


def test_a_change_after_the_last_step_of_an_epoch(tmp_path: Path) -> None:
    """The checkpoint of the epoch does not have it, and the run resumes from there."""
    control, last = Control(), 23
    asked = at(last, lambda: control.change("optimizer.weight_decay", 0.01))  # divides the parameters anew
    stop = at(last + 1, control.stop)
    with pytest.raises(InterruptedRunError):
        train(recipe(), tmp_path / "run", control=control, listeners=[asked, stop], report=False)
    changes = read_changes(tmp_path / "run" / "events.csv")
    assert changes == [Change(last, "optimizer.weight_decay", 0.01)]
    whole = train(recipe(), tmp_path / "whole", control=Control(changes), report=False)
    assert same(whole, resume(tmp_path / "run"))


def test_the_batch_size_changes_within_the_epoch_and_every_sample_is_seen_once(tmp_path: Path) -> None:
    images: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd) and event.epoch == 1:
            images.append(event.images)

    changes = [Change(3, "batch_size", 200), Change(6, "batch_size", 50)]
    train(recipe(), tmp_path / "run", control=Control(changes), listeners=[listen], report=False)
    assert images[:6] == [64, 64, 64, 200, 200, 200] and set(images[6:-1]) == {50}
    assert sum(images) == 1458


def test_the_schedule_ends_at_its_end_whatever_the_batch_size(tmp_path: Path) -> None:
    changes = [Change(4, "batch_size", 16)]
    run = train(recipe(), tmp_path / "run", control=Control(changes), report=False)
    rates = [row["learning_rate"] for row in StepLog.read(run.path / "steps.csv")]
    assert len(rates) > 130 and 0 <= (rates[-1] or 0) < 1e-5 and rates == sorted(rates, reverse=True)  # type: ignore[type-var]


def test_a_new_rate_scales_the_schedule(tmp_path: Path) -> None:
    plain = train(recipe(), tmp_path / "plain", report=False)
    changed_run = train(recipe(), tmp_path / "run", control=Control([Change(7, "lr", 0.03)]), report=False)
    before, after = (
        [row["learning_rate"] or 0.0 for row in StepLog.read(run.path / "steps.csv")]
        for run in (plain, changed_run)
    )
    assert after[:7] == before[:7]
    assert after[7:] == pytest.approx([10 * rate for rate in before[7:]])


def test_pause_one_step_resume(tmp_path: Path) -> None:
    control, steps = Control(), []
    reached = threading.Semaphore(0)

    def listen(event: Event) -> None:
        if isinstance(event, StepEnd):
            steps.append(event.step)
            reached.release()

    control.pause(after=3)
    path = tmp_path / "run"
    worker = threading.Thread(
        target=train, args=(recipe(), path), kwargs={"control": control, "listeners": [listen]}
    )
    worker.start()
    try:
        assert all(reached.acquire(timeout=60) for _ in range(3))
        assert not reached.acquire(timeout=0.5)
        assert control.paused and (path / "checkpoints" / "last.safetensors").exists()
        control.change("optimizer.lr", 0.01)
        control.pause(after=1)
        assert reached.acquire(timeout=60) and not reached.acquire(timeout=0.5)
        assert read_changes(path / "events.csv") == [Change(3, "optimizer.lr", 0.01)]
    finally:
        control.resume()
        worker.join(120)
    assert steps == list(range(1, 47))


def test_an_early_end_stores_the_network_as_it_is(tmp_path: Path) -> None:
    control = Control()
    run = train(recipe(), tmp_path / "run", control=control, listeners=[at(9, control.finish)])
    assert run.folder.finished and (run.path / "report.html").exists()
    assert run.result["epochs"] == 0 and run.result["test"]["samples"] == 179


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 5, "'epochs' cannot be changed during training"),
        ("optimizer.lr", -1, "greater than 0"),
        ("optimizer.momentum", 0.5, "momentum"),
        ("optimizer", "adamm", "did you mean 'adam'"),
        ("model.depth", 3, "cannot be changed"),
        ("batch_size", 0, "batch_size"),
        ("nothing", 0, "'nothing'"),
    ],
)
def test_a_change_that_is_not_possible_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConvnetError, match=message):
        changed(recipe(), field, value)


def test_invalid_changes_leave_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        train(recipe(), tmp_path / "run", control=Control([Change(3, "epochs", 9)]))
    assert not (tmp_path / "run").exists()


def test_a_damaged_log_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    log = tmp_path / "events.csv"
    write_changes(log, CHANGES)
    assert read_changes(log) == CHANGES
    for damage in (
        "step,field\n1,lr\n",
        "step,field,value\nx,lr,1\n",
        "step,field,value\n2,lr,1\n1,lr,1\n",
        "\0",
    ):
        log.write_text(damage)
        with pytest.raises(RunError, match=r"events\.csv"):
            read_changes(log)
    with pytest.raises(RunError, match="missing"):
        read_changes(tmp_path / "missing.csv")
