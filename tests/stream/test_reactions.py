"""How soon an interruption shows, on a virtual clock: what the design costs, apart from any machine."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowact.core.types import Tick
from flowact.diffusion.guidance import Guidance
from flowact.stream.live import LiveSession
from tests.stream.fake_live import NoPlanner, Tape, TapeAvatar, VirtualClock, heard, picture, speech, still

EVALUATIONS = 2
"""Of the backbone in a shift, as with guidance at the mouth."""


class SlowTape(Tape):
    """Takes its time for every evaluation, less while fewer than three chunks are in flight."""

    def generate(
        self, conditions: list[int], is_unwanted: Callable[[], bool] = lambda: False, guidance: Guidance | None = None
    ) -> list[int] | None:
        chunks = min(3, len(self._chunks) + 1)
        for _ in range(EVALUATIONS):
            if is_unwanted():
                return None
            self.avatar.spend(chunks / 3 * self.avatar.evaluation_s)  # type: ignore[attr-defined]
        return super().generate(conditions, guidance=guidance)


class SlowAvatar(TapeAvatar):
    """A model whose computing goes on while the pacer takes ticks and a user interrupts."""

    def __init__(self, spend: Callable[[float], None], chunk_s: float) -> None:
        self.spend, self.evaluation_s = spend, 0.6 * chunk_s / EVALUATIONS
        super().__init__(between=lambda: spend(0.4 * chunk_s / 3))

    def open(self, portrait: Any, seed: int = 0) -> SlowTape:
        return SlowTape(self)


class World:
    """One session, its pacer, its engine and a user, all on one virtual clock."""

    def __init__(self, chunk_s: float, seed: int, jitter: float = 0.0) -> None:
        self.clock, self.random, self._order = VirtualClock(), random.Random(seed), itertools.count()
        self.jitter = jitter
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        avatar = SlowAvatar(self._compute, chunk_s)
        self.session = LiveSession(avatar, still(), planner=NoPlanner(), clock=self.clock)  # type: ignore[arg-type]
        self.ticks: list[tuple[float, Tick]] = []
        self.rests_s: list[float] = []
        self.silences_s: list[float] = []
        self.marks: list[tuple[int, int]] = []
        self._asked: tuple[float, int] | None = None
        self._said = 1
        self._after(0.5, self._tick)
        self._after(2.0, self._speak)

    def run(self, interruptions: int) -> None:
        """Live until so many interruptions were shown."""
        while len(self.rests_s) < interruptions:
            if self.session.deadline() is None:
                self.go_on(max(0.0, self._agenda[0][0] - self.clock.now_s))
            else:
                self.session.advance()

    def go_on(self, seconds: float) -> None:
        """Let time pass, with what happens meanwhile."""
        end_s = self.clock.now_s + seconds
        while self._agenda and self._agenda[0][0] <= end_s:
            at_s, _, act = heapq.heappop(self._agenda)
            self.clock.now_s = max(self.clock.now_s, at_s)
            act()
        self.clock.now_s = max(self.clock.now_s, end_s)

    def _compute(self, seconds: float) -> None:
        self.go_on(seconds * (1 + self.random.uniform(-self.jitter, self.jitter)))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.clock.now_s + seconds, next(self._order), act))

    def _tick(self) -> None:
        self._after(0.04, self._tick)
        tick = self.session.take()
        self.ticks.append((self.clock.now_s, tick))
        if self._asked is None or tick.epoch < self._asked[1]:
            return
        if len(self.silences_s) == len(self.rests_s) and not tick.sound.any():
            self.silences_s.append(self.clock.now_s - self._asked[0])
        if picture(tick.frame) == 0 and not tick.is_held:
            self.rests_s.append(self.clock.now_s - self._asked[0])
            self._asked = None
            self._after(self.random.uniform(0.8, 1.6), self._speak)

    def _speak(self) -> None:
        self.session.say(speech(self._said, 100), 16_000, f"s{self._said}")
        self.session.end_segment(f"s{self._said}")
        self._said += 100
        self._after(self.random.uniform(1.2, 2.8), self._interrupt)

    def _interrupt(self) -> None:
        if picture(self.ticks[-1][1].frame) == 0:  # the mouth must move to come to rest
            self._after(0.04, self._interrupt)
            return
        self._asked = (self.clock.now_s, self.session.interrupt().epoch)
        self.marks.append((len(self.ticks), self._said - 1))


@pytest.mark.parametrize(("chunk_s", "p95_s"), [(0.136, 0.43), (0.19, 0.51)])
def test_an_interrupted_mouth_is_soon_at_rest(chunk_s: float, p95_s: float) -> None:
    world = World(chunk_s, seed=1, jitter=0.3)
    world.run(interruptions=150)
    assert np.quantile(world.rests_s, 0.95) < p95_s
    assert np.quantile(world.silences_s, 0.95) <= 0.08
    assert not any(tick.is_held for _, tick in world.ticks)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.floats(0.01, 0.25), st.floats(0.0, 0.8), st.integers(0, 1000))
def test_no_timing_of_the_engine_lets_old_speech_through(chunk_s: float, jitter: float, seed: int) -> None:
    world = World(chunk_s, seed, jitter)
    world.run(interruptions=4)
    ticks = [tick for _, tick in world.ticks]
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    assert np.allclose(np.diff([at_s for at_s, _ in world.ticks]), 0.04)
    for at, last in world.marks:  # but for one tick, which fades out
        assert all(heard(tick.sound) == 0 or heard(tick.sound) > last for tick in ticks[at + 1 :])
    fades = {at for at, _ in world.marks}
    spoken = [tick for tick in ticks if tick.segment is not None and tick.index not in fades]
    assert all(heard(tick.sound) == picture(tick.frame) > 0 and not tick.is_held for tick in spoken)
    assert len(spoken) > 4 * 10
    assert max(world.rests_s) < 1.0 or any(tick.is_held for tick in ticks)


def test_half_a_shift_is_not_computed_for_nothing() -> None:
    world = World(0.2, seed=2)
    spent: list[float] = []
    avatar: Any = world.session._avatar
    world.run(interruptions=3)
    world.session.say(speech(5000, 200), 16_000, "last")
    world.session.end_segment("last")
    while world.session.deadline() is not None:
        world.session.advance()
    for _ in range(8):
        world._tick()

    def spend(seconds: float) -> None:
        spent.append(seconds)
        world.session.interrupt()

    avatar.spend = spend
    world.session.advance()
    assert len(spent) == 1
