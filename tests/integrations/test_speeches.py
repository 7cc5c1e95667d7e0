from __future__ import annotations

import numpy as np
import pytest

from flowact.core.types import State, Tick
from flowact.integrations.speeches import Speeches, from_int16, to_int16


def tick(segment: str | None = None, ends: bool = False) -> Tick:
    return Tick(0, 0, np.zeros((2, 2, 3), np.uint8), np.zeros(640, np.float32), State.IDLE, segment, ends, False)


def test_a_speech_is_over_with_its_last_tick() -> None:
    speeches: Speeches[str] = Speeches()
    name = speeches.current()
    assert speeches.current() == name
    assert speeches.end("a") == name
    assert speeches.current() != name
    assert speeches.passed(tick(name)) == []
    assert speeches.passed(tick()) == []  # a pause, or nothing was ready
    assert speeches.passed(tick(name, ends=True)) == ["a"]
    assert speeches.pending == 0


def test_nothing_said_is_nothing_to_wait_for() -> None:
    speeches: Speeches[str] = Speeches()
    assert speeches.end("a") is None
    assert speeches.pending == 0


def test_lost_ticks_lose_no_end() -> None:
    speeches: Speeches[str] = Speeches()
    names = []
    for note in "abc":
        names.append(speeches.current())
        speeches.end(note)
    assert speeches.passed(tick(names[0])) == []
    assert speeches.passed(tick(names[1]), lost=4) == ["a"]
    assert speeches.passed(tick(), lost=4) == []
    assert speeches.passed(tick(), lost=9) == ["b"]
    assert speeches.passed(tick(names[2], ends=True), lost=9) == ["c"]


def test_what_was_broken_off_never_ends() -> None:
    speeches: Speeches[str] = Speeches()
    first = speeches.current()
    speeches.end("a")
    speeches.forget()
    assert speeches.passed(tick(first, ends=True)) == []
    assert speeches.current() != first


def test_sound_keeps_its_values() -> None:
    stereo = np.array([[16384, 0], [-16384, -32768]], np.int16).tobytes()
    assert from_int16(stereo, 2) == pytest.approx([0.25, -0.75])
    mono = from_int16(to_int16(np.array([0.5, -0.25, 2.0], np.float32)), 1)
    assert mono == pytest.approx([0.5, -0.25, 1.0], abs=1e-4)
