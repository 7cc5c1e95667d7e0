from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bench.viewer import Released
from flowact.core.types import State, Tick


def tick(is_held: bool) -> Tick:
    return Tick(0, 0, np.zeros((1, 1, 3), np.uint8), np.zeros(640, np.float32), State.IDLE, None, False, is_held)


def released(*ticks: Tick, room: int = 10) -> Released:
    coming = iter(ticks)
    return Released(SimpleNamespace(take=lambda: next(coming)), room)  # type: ignore[arg-type]


def test_releases_are_noted_as_they_happen() -> None:
    seen = released(tick(False), tick(True))
    assert seen.first_s is None
    assert [seen.take().is_held, seen.take().is_held] == [False, True]
    at_s, held = seen.between(0.0, np.inf)
    assert held == [False, True]
    assert seen.first_s == at_s[0] <= at_s[1]


def test_a_stall_at_either_end_of_a_stretch_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr("bench.viewer.time.monotonic", lambda: next(clock))
    seen = released(*(tick(is_held) for is_held in (False, True, False, True, False)))
    for _ in range(5):
        seen.take()
    everything = [1.0, 2.0, 3.0, 4.0, 5.0], [False, True, False, True, False]
    assert seen.between(2.5, 3.5) == ([2.0, 3.0, 4.0], [True, False, True])
    assert seen.between(0.5, 9.0) == everything
    assert seen.between(2.0, 4.0) == everything


def test_what_finds_no_room_is_passed_on_all_the_same() -> None:
    seen = released(tick(False), tick(True), room=1)
    assert [seen.take().is_held, seen.take().is_held] == [False, True]
    assert seen.between(0.0, np.inf)[1] == [False]
