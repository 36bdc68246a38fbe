from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.training import SCHEDULES, Timing


def rates(name: str, timing: Timing, **options: float) -> list[float]:
    schedule = SCHEDULES.build(name, timing, **options)
    return [schedule.factor(step) for step in range(timing.total)]


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 30), st.integers(1, 12), st.floats(0, 5))
def test_every_schedule_stays_between_zero_and_one(name: str, steps: int, epochs: int, warmup: float) -> None:
    timing = Timing(steps, epochs)
    factors = rates(name, timing, warmup_epochs=warmup)
    assert all(0 <= f <= 1 for f in factors)
    warm = min(round(warmup * steps), timing.total)
    rising = factors[:warm]
    assert rising == sorted(rising)
    assert all(f > 0 for f in rising)


def test_their_shapes() -> None:
    timing = Timing(10, 10)
    assert rates("constant", timing) == [1.0] * 100
    stepped = rates("step", timing, every_epochs=4)
    assert stepped[39] == 1
    assert stepped[40] == pytest.approx(0.1)
    assert stepped[80] == pytest.approx(0.01)
    cosine = rates("cosine", timing, final=0.2)
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.6)
    assert cosine[99] == pytest.approx(0.2, abs=1e-3)
    cycle = rates("one-cycle", timing)
    assert cycle[0] == pytest.approx(0.04)
    assert max(cycle) == cycle[30] == pytest.approx(1)
    assert cycle[99] < 0.01


def test_plateau_divides_by_ten_and_remembers() -> None:
    timing = Timing(1, 100)
    plateau = SCHEDULES.build("plateau", timing, patience=2)
    factors = []
    for error in (1.0, 0.5, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4):
        plateau.observe(error)
        factors.append(plateau.factor(0))
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1])
    other = SCHEDULES.build("plateau", timing, patience=2)
    other.load_state_dict(plateau.state_dict())
    for schedule in (plateau, other):
        schedule.observe(0.4)
        assert schedule.factor(0) == pytest.approx(0.01)
