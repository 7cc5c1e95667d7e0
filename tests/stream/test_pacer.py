"""One clock: exact for ever, together from the start, gentle after a stall."""

import asyncio
from types import SimpleNamespace

import numpy as np

from flowact.core.types import State, Tick
from flowact.stream.pacer import Pacer, Timekeeper
from tests.stream.fake_live import VirtualClock

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
