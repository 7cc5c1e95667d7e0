"""Somebody who watches a live session, speaks through it, interrupts it, and notes what comes and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ
from flowact.core.types import Tick
from flowact.stream.live import LiveSession
from flowact.stream.pacer import Pacer, Subscription

PATIENCE_S = 60.0
REST_S, SPEAK_S = (0.8, 1.6), (0.5, 2.0)


class Released:
    """A live session as the pacer sees it; notes every release.

    Room for the notes is taken at once, so that they do not look as if the session grew. When it is full, no more is
    noted.

    Args:
        session: the session.
        room: releases that can be noted.
    """

    def __init__(self, session: LiveSession, room: int) -> None:
        self._session, self._count = session, 0
        self._at_s, self._held = np.full(room, np.inf), np.full(room, 1, np.bool_)

    @property
    def is_started(self) -> bool:
        """Whether there was ever a tick to take."""
        return self._session.is_started

    @property
    def closed_reason(self) -> str | None:
        """Why it ended; None while it lives."""
        return self._session.closed_reason

    def take(self) -> Tick:
        """The next tick, at once."""
        tick = self._session.take()
        if self._count < len(self._at_s):
            self._at_s[self._count], self._held[self._count] = time.monotonic(), tick.is_held
            self._count += 1
        return tick

    @property
    def first_s(self) -> float | None:
        """When the first tick was released."""
        return float(self._at_s[0]) if self._count else None

    def audible(self, tick: Tick) -> Tick:
        """The tick as it may still be played."""
        return self._session.audible(tick)

    def between(self, from_s: float, until_s: float) -> tuple[list[float], list[bool]]:
        """The releases of a stretch of time, and which were held.

        The release before and the one after belong to it, so that a stall at either end is not lost.
        """
        at_s = self._at_s[: self._count]
        kept = slice(max(0, int(np.searchsorted(at_s, from_s)) - 1), int(np.searchsorted(at_s, until_s, "right")) + 1)
        return at_s[kept].tolist(), self._held[: self._count][kept].tolist()


class Viewer:
    """One viewer of one session for at most `seconds` and what comes before them.

    `times` are seconds from a call to the release of the tick that shows its effect.
    """

    def __init__(self, session: LiveSession, voice: NDArray[np.float32], seed: int, seconds: float) -> None:
        self.session, self.released = session, Released(session, round(FPS * (seconds + 2 * PATIENCE_S)))
        self.times: dict[str, list[float]] = {
            name: [] for name in ("speech_to_lips", "interrupt_to_silence", "interrupt_to_rest")
        }
        self.trials = 0
        self._voice, self._chance = voice, np.random.default_rng(seed)
        self._pacer = Pacer(self.released)
        self._ticks = self._pacer.subscribe(maxlen=1000)

    async def watch(self, seconds: float, begin: asyncio.Event) -> None:
        """Trials until the time is over, from `begin` on: rest, speak, be interrupted at a random moment."""
        pacing = asyncio.create_task(self._pacer.run())
        await begin.wait()
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and self.session.closed_reason is None:
            await self._trial(float(self._chance.uniform(*REST_S)), float(self._chance.uniform(*SPEAK_S)))
            self.trials += 1
        self.session.close("measured")
        await pacing

    async def _trial(self, rest_s: float, speak_s: float) -> None:
        ticks = self._ticks
        await _until(ticks, lambda tick, since_s: since_s >= rest_s)
        segment, begin_s = f"speech-{self.trials}", time.monotonic()
        self.session.say(self._voice, SAMPLE_RATE_HZ, segment)
        self.session.end_segment(segment)
        # Sound and lips are one tick, made of one chunk: the first tick that sounds is the first that moves the lips.
        await _until(ticks, lambda tick, _: tick.segment == segment)
        self.times["speech_to_lips"].append(time.monotonic() - begin_s)
        await _until(ticks, lambda tick, since_s: since_s >= speak_s)
        before, begin_s = self.session.snapshot_stats().reactions_s, time.monotonic()
        epoch = self.session.interrupt().epoch
        await _until(ticks, lambda tick, _: tick.epoch >= epoch and not tick.sound.any())
        self.times["interrupt_to_silence"].append(time.monotonic() - begin_s)
        await _until(ticks, lambda *_: self.session.snapshot_stats().reactions_s != before)
        self.times["interrupt_to_rest"].append(self.session.snapshot_stats().reactions_s[-1])


async def _until(ticks: Subscription, wanted: Callable[[Tick, float], bool]) -> Tick:
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < PATIENCE_S:
        tick = await ticks.get()
        if tick is None:
            raise RuntimeError("The session ended while it was watched.")
        if wanted(tick, time.monotonic() - begin_s):
            return tick
    raise TimeoutError(f"What was waited for did not come within {PATIENCE_S:.0f} s.")
