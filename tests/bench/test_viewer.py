from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bench.viewer import Released
from flowact.core.types import State, Tick


def tick(is_held: bool) -> Tick:
    return Tick(0, 0, np.zeros((1, 1, 3), np.uint8), np.zeros(640, np.float32), State.IDLE, None, False, is_held)


def test_releases_are_noted_as_they_happen() -> None:
    ticks = iter([tick(False), tick(True)])
    released = Released(SimpleNamespace(take=lambda: next(ticks)))  # type: ignore[arg-type]
    assert [released.take().is_held, released.take().is_held] == [False, True]
    assert released.held == [False, True]
    assert released.at_s[0] <= released.at_s[1]


def test_a_stall_at_either_end_of_a_stretch_is_in_it() -> None:
    released = Released(SimpleNamespace())  # type: ignore[arg-type]
    released.at_s, released.held = [1.0, 2.0, 3.0, 4.0, 5.0], [False, True, False, True, False]
    assert released.between(2.5, 3.5) == ([2.0, 3.0, 4.0], [True, False, True])
    assert released.between(0.5, 9.0) == (released.at_s, released.held)
    assert released.between(2.0, 4.0) == (released.at_s, released.held)
