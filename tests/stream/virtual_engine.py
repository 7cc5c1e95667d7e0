"""An engine, its pacers, its neighbours and its users on one virtual clock: the rules, apart from any machine."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.core.types import Tick
from flowact.diffusion.guidance import Guidance
from flowact.stream.costs import Costs
from flowact.stream.live import LiveSession
from flowact.stream.threads import Threads
from flowact.stream.tiers import Tiers, ladder_for
from flowact.stream.turns import ComputeThreads, Turns
from tests.stream.fake_live import NoPlanner, Tape, TapeAvatar, VirtualClock, speech, still

CHUNK_S = 0.13
"""With guidance and two threads on idle cores; the parts below are shares of it."""
REMEMBER, EVALUATE, PAINT, PAINT_HALF, PROBE = 0.11, 0.185, 0.173, 0.124, 0.17
SLOWDOWN = {(2, 0): 1.0, (2, 1): 8.0, (2, 2): 15.0, (1, 0): 1.4, (1, 1): 1.45, (1, 2): 2.0}
"""By compute threads, and by neighbours that never rest, on two cores."""


class TimedTape(Tape):
    """Takes its time for every evaluation and every latent frame."""

    avatar: Any

    def generate(
        self, conditions: list[int], is_unwanted: Callable[[], bool] = lambda: False, guidance: Guidance | None = None
    ) -> list[int] | None:
        self.avatar.spend(REMEMBER)
        share = min(3, len(self._chunks) + 1) / 3
        for _ in range(2 if guidance is self.avatar.guidance else 1):
            if is_unwanted():
                return None
            self.avatar.spend(share * EVALUATE)
        return super().generate(conditions, guidance=guidance)

    def decode_stepwise(self, chunk: list[int], every: int = 1) -> Iterator[tuple[NDArray[np.uint8], tuple[int, ...]]]:
        for frames, point in super().decode_stepwise(chunk, every):
            self.avatar.spend(PAINT if every == 1 else PAINT_HALF)
            yield frames, point


class TimedAvatar(TapeAvatar):
    """A model whose computing takes time."""

    def __init__(self, spend: Callable[[float], None]) -> None:
        super().__init__()
        self.spend = spend

    def open(self, portrait: Any, seed: int = 0) -> TimedTape:
        return TimedTape(self)


class VirtualEngine:
    """As `Engine`, without its thread; `chunk_s` is the cost of a chunk at its best."""

    def __init__(
        self, chunk_s: float = CHUNK_S, threads: int = 2, slowdown: dict[tuple[int, int], float] | None = None
    ):
        self.clock, self._order = VirtualClock(), itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.chunk_s, self.busy, self.slowdown = chunk_s, 0, slowdown or SLOWDOWN
        self.computing = threads
        self.avatar: Any = TimedAvatar(self.spend)
        self.costs = Costs()
        choice = Threads(threads, chunk_s, chunk_s * self.slowdown[1, 0])
        self.tiers = Tiers(ladder_for(self.avatar.guidance))
        compute = ComputeThreads(choice, self._apply, self._compare) if threads > 1 else None
        self.turns = Turns(self.clock, self.costs, self.tiers, compute)
        self.sessions: list[LiveSession] = []
        self.ticks: list[list[tuple[float, Tick]]] = []

    @property
    def now_s(self) -> float:
        return self.clock.now_s

    def open(self) -> LiveSession:
        """One more session, watched from its first tick on."""
        session = LiveSession(self.avatar, still(), planner=NoPlanner(), clock=self.clock, costs=self.costs)
        ticks: list[tuple[float, Tick]] = []
        self.sessions.append(session)
        self.ticks.append(ticks)

        def tick() -> None:
            self.after(0.04, tick)
            if session.is_started:
                ticks.append((self.now_s, session.take()))

        self.after(0.005 * len(self.sessions), tick)
        return session

    def talk(self, session: LiveSession, ticks: int, segment: str) -> None:
        """Give a session so much speech."""
        session.say(speech(1, ticks), 16_000, segment)
        session.end_segment(segment)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._agenda, (self.now_s + seconds, next(self._order), act))

    def set_busy(self, neighbours: int) -> None:
        """So many neighbours compute without rest from now on."""
        self.busy = neighbours

    def run(self, seconds: float) -> None:
        """Let time pass while the engine works."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            session = self.turns.most_urgent(self.sessions)
            if session is None:
                self.turns.compare_threads(self.sessions)
                self._go_on(0.005)
            else:
                self.turns.give(session, len(self.sessions))

    def spend(self, share: float) -> None:
        """Compute for a share of a chunk; neighbours come and go meanwhile."""
        left_s = share * self.chunk_s
        while left_s > 1e-9:
            factor = self.slowdown[self.computing, self.busy]
            step_s = min(0.01, left_s * factor)
            self._go_on(step_s)
            left_s -= step_s / factor

    def held(self, index: int = 0, since_s: float = 0.0) -> int:
        """Ticks of a session that repeated a picture because nothing was ready."""
        return sum(tick.is_held for at_s, tick in self.ticks[index] if at_s >= since_s)

    def _compare(self) -> tuple[float, float]:
        times_s = []
        for count in (2, 1):
            self._apply(count)
            begin_s = self.now_s
            self.spend(PROBE)
            times_s.append(self.now_s - begin_s)
        return times_s[0], times_s[1]

    def _apply(self, count: int) -> None:
        self.computing = count

    def _go_on(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self._agenda and self._agenda[0][0] <= end_s:
            at_s, _, act = heapq.heappop(self._agenda)
            self.clock.now_s = max(self.now_s, at_s)
            act()
        self.clock.now_s = max(self.now_s, end_s)
