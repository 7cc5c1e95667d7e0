"""One thread for all: fair, closed to who does not fit, and unimpressed by who fails."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from flowact.core.errors import ConfigError, SessionError
from flowact.core.types import Tick
from flowact.speed.runtime import Runtime
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine, EngineConfig, EngineFullError
from flowact.stream.live import LiveSession
from flowact.stream.planner import Action, Moment
from flowact.stream.tiers import Tier
from tests.stream.fake_live import NoPlanner, TapeAvatar, fill, heard, speech, still


def started(avatar: object, most_load: float = 100.0) -> Engine:
    """An engine that admits anybody, unless told otherwise, in one tier: a busy machine must not fail a test."""
    engine = Engine(avatar, EngineConfig(most_load=most_load, lowest_tier=Tier.FULL))  # type: ignore[arg-type]
    engine.start()
    return engine


def wait_for(what: object, session: LiveSession, limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not what(session):  # type: ignore[operator]
        assert time.monotonic() < end_s, "the engine does not get there"
        time.sleep(0.002)


def is_filled(session: LiveSession) -> bool:
    return session.snapshot_stats().lead_ticks >= 12


def draw(session: LiveSession, count: int) -> list[Tick]:
    """Ticks as the engine makes them; waits rather than letting one be held."""
    ticks = []
    for _ in range(count):
        wait_for(lambda s: s.snapshot_stats().lead_ticks > 0, session)
        ticks.append(session.take())
    return ticks


def test_the_engine_fills_the_lead_and_speaks() -> None:
    engine = started(TapeAvatar())
    session = engine.open(still(), planner=NoPlanner())
    wait_for(is_filled, session)
    session.say(speech(1, 60), 16_000)
    session.end_segment()
    assert [heard(t.sound) for t in draw(session, 110) if t.segment] == list(range(1, 61))
    engine.stop()
    assert session.closed_reason == "the engine stopped"
    with pytest.raises(SessionError, match="start"):
        engine.open(still())


def test_who_does_not_fit_is_told_when_to_come_back() -> None:
    engine = started(TapeAvatar(compute=lambda: time.sleep(0.15)), most_load=0.85)
    try:
        slots = engine.capacity().slots
        assert 1 <= slots <= 2
        first, *_ = [engine.open(still()) for _ in range(slots)]
        with pytest.raises(EngineFullError, match="taken") as told:
            engine.open(still())
        assert told.value.retry_after_s > 0
        first.close("left")
        engine.open(still())
        assert engine.capacity().sessions == slots
    finally:
        engine.stop()


def test_a_session_that_fails_is_closed_with_its_reason_and_the_others_go_on() -> None:
    class Broken:
        def propose(self, moment: Moment) -> Action | None:
            raise ValueError("no idea")

    engine = started(TapeAvatar())
    try:
        good, bad = engine.open(still(), planner=NoPlanner()), engine.open(still(), planner=Broken())
        wait_for(lambda s: s.closed_reason is not None, bad)
        assert bad.closed_reason == "ValueError: no idea"
        assert len(draw(good, 50)) == 50
        assert good.closed_reason is None
        assert engine.capacity().sessions == 1
    finally:
        engine.stop()


def test_the_most_urgent_session_is_served_first() -> None:
    engine = Engine(TapeAvatar(), EngineConfig())  # type: ignore[arg-type]
    patient, urgent = (LiveSession(TapeAvatar(), still(), planner=NoPlanner()) for _ in range(2))  # type: ignore[arg-type]
    for session in (patient, urgent):
        fill(session)
    for _ in range(15):
        urgent.take()
    for _ in range(13):
        patient.take()
    turns, living = engine._turns, [patient, urgent]
    assert turns.most_urgent(living) is urgent
    fill(urgent)
    assert turns.most_urgent(living) is patient
    fill(patient)
    assert turns.most_urgent(living) is None


def test_a_wrong_portrait_is_refused_at_the_door() -> None:
    engine = started(TapeAvatar())
    try:
        with pytest.raises(ConfigError):
            engine.open(np.zeros((3, 3, 3), np.uint8))
        assert engine.capacity().sessions == 0
    finally:
        engine.stop()


def test_two_people_in_one_engine_are_each_as_if_alone(avatar: Avatar, portrait: np.ndarray) -> None:
    def alone(picture: np.ndarray, seed: int) -> np.ndarray:
        session = LiveSession(avatar, picture, seed, NoPlanner())
        frames: list[np.ndarray] = []
        while len(frames) < 40:
            fill(session)
            frames.append(session.take().frame)
        return np.stack(frames)

    engine = started(avatar)
    try:
        one = engine.open(portrait, 1, NoPlanner())
        two = engine.open(portrait[::-1].copy(), 2, NoPlanner())
        together: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for _ in range(20):
            together[0].extend(t.frame for t in draw(one, 2))
            together[1].extend(t.frame for t in draw(two, 2))
    finally:
        engine.stop()
    np.testing.assert_array_equal(np.stack(together[0]), alone(portrait, 1))
    np.testing.assert_array_equal(np.stack(together[1]), alone(portrait[::-1].copy(), 2))


def test_nobody_is_let_in_while_quality_is_reduced() -> None:
    engine = Engine(TapeAvatar(), EngineConfig(most_load=100.0))  # type: ignore[arg-type]
    engine.start()
    try:
        engine.open(still())
        assert engine.capacity().slots > 1
        engine._turns._tiers.observe(time.monotonic(), 1.0, 0.48, is_late=True)
        capacity = engine.capacity()
        assert (capacity.tier, capacity.tier_changes, capacity.slots) == (Tier.SPARSE, 1, 1)
        with pytest.raises(EngineFullError):
            engine.open(still())
    finally:
        engine.stop()


def test_the_engine_measures_its_threads_and_goes_on_with_one_of_two_numbers(
    avatar: Avatar, portrait: np.ndarray
) -> None:
    before = torch.get_num_threads()
    engine = Engine(avatar, EngineConfig(most_load=100.0), threads=2)
    engine.start()
    try:
        capacity, threads = engine.capacity(), engine._turns._threads
        assert threads is not None
        assert threads.choice.many == 2
        assert capacity.threads == threads.choice.count
        assert capacity.chunk_s > 0
        assert min(threads.compare()) > 0
        assert len(draw(engine.open(portrait, planner=NoPlanner()), 40)) == 40
    finally:
        engine.stop()
        torch.set_num_threads(before)


def test_beside_graphs_the_engine_leaves_the_threads_of_torch_alone(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avatar, "runtime", Runtime.OPENVINO_F32)
    before = torch.get_num_threads()
    engine = Engine(avatar, EngineConfig(most_load=100.0), threads=before + 1)
    engine.start()
    try:
        assert engine.capacity().threads is None
        assert torch.get_num_threads() == before
    finally:
        engine.stop()
