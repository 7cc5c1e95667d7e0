"""One clock: exact for ever, together from the start, gentle after a stall."""

import asyncio
import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowact.core.types import State, Tick
from flowact.stream.live import LiveSession
from flowact.stream.pacer import Pacer, Timekeeper
from tests.stream.fake_live import NoPlanner, TapeAvatar, VirtualClock, fill, heard, picture, speech, still

DAY_TICKS = 25 * 3600 * 24


class Counter:
    """A source that counts its ticks and closes after `count` of them."""

    def __init__(self, clock: VirtualClock, count: int, ready_s: float = 0.0) -> None:
        self.clock, self.count, self.ready_s = clock, count, ready_s
        self.times: list[float] = []
        self.stall_at, self.stall_s = -1, 0.0

    @property
    def is_started(self) -> bool:
        return self.clock.now_s >= self.ready_s

    @property
    def closed_reason(self) -> str | None:
        return "done" if len(self.times) >= self.count else None

    def take(self) -> Tick:
        index = len(self.times)
        self.times.append(self.clock.now_s)
        if index == self.stall_at:
            self.clock.now_s += self.stall_s
        frame = np.zeros((1, 1, 3), np.uint8)
        return Tick(index, 0, frame, np.zeros(640, np.float32), State.IDLE, None, False, False)

    def audible(self, tick: Tick) -> Tick:
        return tick


class YieldingClock(VirtualClock):
    async def sleep_until(self, at_s: float) -> None:
        await super().sleep_until(at_s)
        await asyncio.sleep(0)


def pace(source: Counter, maxlens: tuple[int, ...] = (1_000,)) -> SimpleNamespace:
    async def story() -> SimpleNamespace:
        pacer = Pacer(source, source.clock)
        subscriptions = [pacer.subscribe(n) for n in maxlens]
        await asyncio.wait_for(pacer.run(), 30)
        got = [[tick.index async for tick in s] for s in subscriptions]
        late = [tick async for tick in pacer.subscribe()]
        return SimpleNamespace(pacer=pacer, got=got, lost=[s.lost for s in subscriptions], late=late)

    return asyncio.run(story())


def test_nothing_drifts_in_a_day() -> None:
    keeper = Timekeeper(12.3)
    for n in (1, 1000, DAY_TICKS - 1, DAY_TICKS):
        keeper.observe(n, keeper.due(n) + 0.03)
    assert keeper.due(DAY_TICKS) == 12.3 + 24 * 3600
    assert keeper.anchored == 0


class LateClock(VirtualClock):
    """Wakes up late, as a busy machine does, but never so late that the pacer gives up."""

    def __init__(self) -> None:
        super().__init__()
        chance = random.Random(0)
        self.late_s = [chance.choice((0.0, 0.001, 0.02, 0.3)) * chance.random() for _ in range(9973)]
        self.woken = 0

    async def sleep_until(self, at_s: float) -> None:
        self.woken += 1
        self.now_s = max(self.now_s, at_s + self.late_s[self.woken % len(self.late_s)])


class Day:
    """A source of a day's ticks that keeps only what it must."""

    closed_reason: str | None = None
    is_started = True

    def __init__(self, clock: LateClock) -> None:
        self.clock, self.count, self.worst_s, self.t0_s = clock, 0, 0.0, 0.0
        frame = np.zeros((1, 1, 3), np.uint8)
        self.tick = Tick(0, 0, frame, np.zeros(640, np.float32), State.IDLE, None, False, False)

    def take(self) -> Tick:
        self.t0_s = self.t0_s or self.clock.now_s
        late_s = self.clock.now_s - (self.t0_s + self.count * 0.04)
        self.worst_s = max(self.worst_s, abs(late_s))
        self.count += 1
        if self.count == DAY_TICKS:
            self.closed_reason = "the day is over"
        return self.tick

    def audible(self, tick: Tick) -> Tick:
        return tick


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_day_of_late_wake_ups_ends_on_time() -> None:
    source = Day(LateClock())
    pacer = Pacer(source, source.clock)
    pacer.subscribe(1)
    asyncio.run(pacer.run())
    assert source.count == DAY_TICKS
    assert source.worst_s < 0.3 + 0.04
    assert pacer.keeper is not None
    assert pacer.keeper.anchored == 0
    assert abs(source.clock.now_s - source.t0_s - 24 * 3600) < 0.35


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
def test_lateness_moves_the_clock_by_itself_or_not_at_all(lateness: list[float]) -> None:
    keeper, moved_s = Timekeeper(7.0), 0.0
    released: list[float] = []
    for index, late_s in enumerate(lateness):
        now_s = max(keeper.due(index) + late_s, released[-1] if released else 0.0)
        late_s = now_s - keeper.due(index)
        assert abs(keeper.due(index) - (7.0 + 0.04 * index + moved_s)) < 1e-6
        keeper.observe(index, now_s)
        moved_s += late_s * (late_s >= 0.5)
        released.append(now_s)
    assert (keeper.anchored > 0) == (moved_s > 0)
    assert abs(keeper.due(0) - 7.0 - moved_s) < 1e-6


STEPS = st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 0.4)), min_size=20, max_size=50)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(STEPS)
def test_picture_and_sound_stay_together_for_any_timing_of_the_producer(steps: list[tuple[int, float]]) -> None:
    """Before each tick the engine makes so many chunks, and the pacer wakes up so late."""
    plan = iter(steps)

    class Clock(VirtualClock):
        async def sleep_until(self, at_s: float) -> None:
            chunks, late_s = next(plan, (-1, 0.0))
            for _ in range(chunks):
                if session.deadline() is not None:
                    session.advance()
            if chunks < 0:
                session.close("enough")
            self.now_s = max(self.now_s, at_s + late_s)

    clock = Clock()
    session = LiveSession(TapeAvatar(), still(), planner=NoPlanner(), clock=clock)  # type: ignore[arg-type]
    fill(session)
    session.say(speech(1, 200), 16_000)
    session.end_segment()
    pacer = Pacer(session, clock)
    subscriptions = [pacer.subscribe(1000), pacer.subscribe(1000)]

    async def story() -> list[list[Tick]]:
        await pacer.run()
        return [[tick async for tick in subscription] for subscription in subscriptions]

    ticks, same = asyncio.run(story())
    assert [id(tick) for tick in ticks] == [id(tick) for tick in same]
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    assert len(ticks) >= len(steps)
    assert all(heard(tick.sound) == picture(tick.frame) for tick in ticks if not tick.is_held)
    assert not any(tick.sound.any() for tick in ticks if tick.is_held)
    spoken = [heard(tick.sound) for tick in ticks if tick.segment]
    assert spoken == list(range(1, len(spoken) + 1))


def test_a_long_stall_moves_the_clock_and_a_short_one_is_caught_up() -> None:
    keeper = Timekeeper(0.0)
    keeper.observe(10, 0.4 + 0.499)
    assert keeper.due(11) == 0.44
    keeper.observe(10, 0.4 + 0.5)
    assert abs(keeper.due(11) - 0.94) < 1e-12
    assert keeper.anchored == 1


def test_ticks_come_at_their_times_to_everybody() -> None:
    source = Counter(YieldingClock(), 500, ready_s=101.0)
    result = pace(source, (1000, 1000))
    t0 = source.times[0]
    assert t0 >= 101.0
    assert max(abs(at - (t0 + n * 0.04)) for n, at in enumerate(source.times)) < 1e-9
    assert result.got == [list(range(500))] * 2
    assert result.late == []


def test_a_slow_subscriber_loses_the_oldest_and_slows_nobody() -> None:
    result = pace(Counter(YieldingClock(), 100), (8, 1000))
    assert result.got[0] == list(range(92, 100))
    assert result.lost == [92, 0]
    assert result.got[1] == list(range(100))


def test_a_stall_of_the_loop_is_not_made_up_by_rushing() -> None:
    source = Counter(YieldingClock(), 100)
    source.stall_at, source.stall_s = 50, 2.0
    result = pace(source)
    gaps = np.diff(source.times)
    assert result.pacer.keeper.anchored == 1
    assert gaps.max() > 1.9
    assert (gaps > 0.039).all()


def test_nobody_misses_the_first_tick() -> None:
    async def story() -> list[int]:
        source = Counter(YieldingClock(), 5)
        pacer = Pacer(source, source.clock)
        task = asyncio.create_task(pacer.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.times == []
        subscription = pacer.subscribe()
        await task
        return [tick.index async for tick in subscription]

    assert asyncio.run(story()) == [0, 1, 2, 3, 4]
