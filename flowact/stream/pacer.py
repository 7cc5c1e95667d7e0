"""One clock for pictures and sound: every 40 ms one tick, to every subscriber at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

from flowact.core.clock import TICK_MS
from flowact.core.types import Tick

_LOOK_S = 0.005


class Clock(Protocol):
    """A clock that only goes on."""

    def now(self) -> float:
        """Seconds."""
        ...

    async def sleep_until(self, at_s: float) -> None:
        """Return at `at_s` or later; at once if that is past, but let others run."""
        ...


class MonotonicClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    async def sleep_until(self, at_s: float) -> None:
        """Return at `at_s` or later; at once if that is past, but let others run."""
        await asyncio.sleep(max(0.0, at_s - self.now()))


class Source(Protocol):
    """What is paced: a `LiveSession`."""

    @property
    def is_started(self) -> bool:
        """Whether there was ever a tick to take."""
        ...

    @property
    def closed_reason(self) -> str | None:
        """Why it ended; None while it lives."""
        ...

    def take(self) -> Tick:
        """The next tick, at once."""
        ...

    def audible(self, tick: Tick) -> Tick:
        """The tick as it may still be played."""
        ...


class Timekeeper:
    """When tick n is due: t0 + n * 40 ms in integers, so nothing drifts; a long stall moves t0 instead of rushing."""

    def __init__(self, t0_s: float, late_s: float = 0.5) -> None:
        """Tick 0 is due at `t0_s`; who is `late_s` late or more is given up to catch up with."""
        self._t0_s, self._late_s = t0_s, late_s
        self.anchored = 0

    def due(self, index: int) -> float:
        """Clock time of a tick."""
        return self._t0_s + index * TICK_MS / 1000

    def observe(self, index: int, now_s: float) -> None:
        """Tick `index` is released at `now_s`."""
        late_s = now_s - self.due(index)
        if late_s >= self._late_s:
            self._t0_s += late_s
            self.anchored += 1


class Subscription:
    """Ticks for one consumer, in order. A consumer that is too slow loses the oldest, and `lost` counts them."""

    def __init__(self, source: Source, maxlen: int) -> None:
        self._source, self._ticks = source, deque[Tick]()
        self._maxlen, self._changed, self._ended = maxlen, asyncio.Event(), False
        self.lost = 0

    async def get(self) -> Tick | None:
        """The next tick, without the sound that an interruption took back; None at the end."""
        while not self._ticks:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._source.audible(self._ticks.popleft())

    def __aiter__(self) -> Subscription:
        """All ticks until the end."""
        return self

    async def __anext__(self) -> Tick:
        tick = await self.get()
        if tick is None:
            raise StopAsyncIteration
        return tick

    def put(self, tick: Tick) -> None:
        """The pacer gives a tick."""
        if len(self._ticks) == self._maxlen:
            self._ticks.popleft()
            self.lost += 1
        self._ticks.append(tick)
        self._changed.set()

    def end(self) -> None:
        """There will be no more ticks; those that wait can still be had."""
        self._ended = True
        self._changed.set()


class Pacer:
    """Releases one tick every 40 ms from one `t0`, from when the first tick exists and somebody subscribed."""

    def __init__(self, source: Source, clock: Clock | None = None) -> None:
        self._source, self._clock = source, clock or MonotonicClock()
        self._subscriptions: list[Subscription] = []
        self._is_over = False
        self.keeper: Timekeeper | None = None

    def subscribe(self, maxlen: int = 8) -> Subscription:
        """From the next tick on, the same ticks as everybody; at most `maxlen` of them wait."""
        subscription = Subscription(self._source, maxlen)
        if self._is_over:
            subscription.end()
        else:
            self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more ticks for this one."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        subscription.end()

    async def run(self) -> None:
        """Pace until the source is closed; cancel the task to end it earlier."""
        try:
            while not self._is_over and not (self._source.is_started and self._subscriptions):
                await self._clock.sleep_until(self._clock.now() + _LOOK_S)
                self._is_over = self._source.closed_reason is not None
            self.keeper, index = Timekeeper(self._clock.now()), 0
            while self._source.closed_reason is None:
                await self._clock.sleep_until(self.keeper.due(index))
                self.keeper.observe(index, self._clock.now())
                tick = self._source.take()
                for subscription in self._subscriptions:
                    subscription.put(tick)
                index += 1
        finally:
            self._is_over = True
            for subscription in self._subscriptions:
                subscription.end()
