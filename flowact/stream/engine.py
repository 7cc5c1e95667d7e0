"""One thread that computes for all live sessions of one model, the earliest deadline first."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from flowact.core.clock import FPS, FRAMES_PER_CHUNK, SAMPLE_RATE_HZ, SHIFT_S
from flowact.core.errors import SessionError
from flowact.speed.runtime import Runtime
from flowact.stream.avatar import Avatar
from flowact.stream.costs import Costs
from flowact.stream.live import LiveConfig, LiveSession
from flowact.stream.planner import Planner
from flowact.stream.threads import Threads
from flowact.stream.tiers import Tier, TierRules, Tiers, ladder_for
from flowact.stream.turns import ComputeThreads, Turns

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.01
_JOIN_S = 30.0


@dataclass(frozen=True)
class EngineConfig:
    """How much of real time is given away.

    Attributes:
        most_load: sessions are admitted while the chunks of all cost less than this share of real time; the rest is
            for reactions.
        retry_after_s: what a refused visitor is told.
        warm_up_ticks: ticks made before the first visitor, to load the networks and to measure them.
        live: of every session.
        lowest_tier: quality is never reduced further.
        tiers: when quality steps down and up.
    """

    most_load: float = 0.85
    retry_after_s: float = 15.0
    warm_up_ticks: int = 48
    live: LiveConfig = field(default_factory=LiveConfig)
    lowest_tier: Tier = Tier.PLAIN
    tiers: TierRules = field(default_factory=TierRules)


@dataclass(frozen=True)
class Capacity:
    """How many people fit.

    Attributes:
        sessions: that live now.
        slots: that could live at once, all speaking, in the best tier; while the tier is a lower one, only those that
            live. At least one, since a machine that is too slow for one is still shown as it is.
        chunk_s: measured cost of a chunk with all its evaluations.
        load: share of real time that the living sessions would cost if all spoke.
        tier: how well chunks are made now.
        tier_changes: how often that changed since the engine started.
        threads: that compute together; None where that is left to torch.
        thread_changes: how often that changed.
    """

    sessions: int
    slots: int
    chunk_s: float
    load: float
    tier: Tier = Tier.FULL
    tier_changes: int = 0
    threads: int | None = None
    thread_changes: int = 0


class EngineFullError(SessionError):
    """No room for one more session; `retry_after_s` is when to ask again."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def leave_cores_to_engine() -> int:
    """Call it first in a program that holds an engine, before a model is loaded; returns the threads for the engine.

    A pool of compute threads that another thread has made, even once and while loading, makes the pool of the engine's
    thread sleep between operations instead of spin: every chunk then takes twice as long (libgomp's throttling).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads


class Engine:
    """All live sessions of one model. `start` before `open`; `open` and `close` may be called from any thread."""

    def __init__(
        self,
        avatar: Avatar,
        config: EngineConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        threads: int | None = None,
    ) -> None:
        """At most `threads` compute together, see `leave_cores_to_engine`; None leaves torch's number.

        With graphs it stays as it is: they bring threads of their own.
        """
        self._threads = None if threads is None or avatar.runtime is not Runtime.TORCH else threads
        self._avatar, self._config, self._clock = avatar, config or EngineConfig(), clock
        self._costs = Costs()
        self._ladder = [tier for tier in ladder_for(avatar.guidance) if tier <= self._config.lowest_tier]
        self._turns = self._make_turns(None)
        self._lock = threading.Lock()
        self._sessions: list[LiveSession] = []
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether sessions can be opened."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Load and measure the networks with a session that nobody sees, then begin to serve. Takes some seconds."""
        if self._thread is not None:
            raise SessionError("The engine was already started. Make another one, or leave out start().")
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="flowact-engine", daemon=True)
        self._thread.start()
        ready.result()

    def stop(self) -> None:
        """Close all sessions, let the chunk at hand end, and end the thread."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        for session in self._living():
            self.close(session, "the engine stopped")

    def open(self, portrait: NDArray[np.uint8], seed: int = 0, planner: Planner | None = None) -> LiveSession:
        """Begin a live session of the person in a portrait, uint8 RGB of the model's size. Returns at once.

        Raises:
            EngineFullError: one more session would not be served in time.
            SessionError: the engine does not run.
            ConfigError: the portrait does not fit the model.
        """
        if not self.is_running:
            raise SessionError("The engine does not run. Call start() first.")
        session = LiveSession(
            self._avatar, portrait, seed, planner, self._config.live, clock=self._clock, costs=self._costs
        )
        session.on_change = self._wake.set
        with self._lock:
            capacity = self._capacity()
            if capacity.sessions >= capacity.slots:
                raise EngineFullError(
                    f"{capacity.sessions} of {capacity.slots} sessions are taken (a chunk of {SHIFT_S:.2f} s costs "
                    f"{capacity.chunk_s:.2f} s). Try again in {self._config.retry_after_s:.0f} s.",
                    self._config.retry_after_s,
                )
            self._sessions.append(session)
        self._wake.set()
        return session

    def close(self, session: LiveSession, reason: str = "closed") -> None:
        """End a session and free its place; the first reason stays."""
        session.close(reason)
        with self._lock:
            if session in self._sessions:
                self._sessions.remove(session)

    def capacity(self) -> Capacity:
        """How many people fit, as measured."""
        with self._lock:
            return self._capacity()

    def _capacity(self) -> Capacity:
        self._sessions = [s for s in self._sessions if s.closed_reason is None]
        living, turns = len(self._sessions), self._turns
        chunk_s = self._costs.mean_chunk_s or SHIFT_S
        slots = int(self._config.most_load * SHIFT_S / chunk_s)
        if turns.tier is not Tier.FULL:
            slots = min(slots, living)
        return Capacity(
            living, max(1, slots), chunk_s, living * chunk_s / SHIFT_S,
            turns.tier, turns.changes, turns.threads, turns.thread_changes,
        )  # fmt: skip

    def _living(self) -> list[LiveSession]:
        with self._lock:
            return list(self._sessions)

    def _make_turns(self, threads: ComputeThreads | None) -> Turns:
        return Turns(self._clock, self._costs, Tiers(self._ladder, self._config.tiers), threads)

    def _measure(self) -> None:
        """Load the networks, find the better number of threads, and measure what a chunk costs with it."""
        if self._threads is not None:
            torch.set_num_threads(1)  # loading with several takes minutes beside a busy neighbour
        loading, ladder, ticks = Costs(), self._ladder, self._config.warm_up_ticks
        chunks = itertools.count()
        self._warm_up(loading, len(ladder) * FRAMES_PER_CHUNK, lambda s: s.advance(ladder[next(chunks) % len(ladder)]))
        if self._threads is None or self._threads == 1:
            self._warm_up(self._costs, ticks, lambda session: session.advance())
            return
        compare = self._thread_comparison(self._threads)
        compare()  # makes the threads
        many_s, one_s = compare()
        first = Threads(self._threads, many_s / one_s * loading.chunk_s(0.5), loading.chunk_s(0.5))
        torch.set_num_threads(first.count)
        turns = Turns(
            self._clock, self._costs, Tiers([Tier.FULL]), ComputeThreads(first, torch.set_num_threads, compare)
        )
        self._warm_up(self._costs, ticks, lambda session: turns.give(session, 1))
        chunk_s = self._costs.mean_chunk_s or SHIFT_S
        factor = 1.0 if first.changes else many_s / one_s  # a neighbour came in between: begin with one
        alone_s = chunk_s if first.count == 1 else chunk_s / factor
        choice = Threads(self._threads, factor * alone_s, alone_s)
        self._turns = self._make_turns(ComputeThreads(choice, torch.set_num_threads, compare))

    def _warm_up(self, costs: Costs, ticks: int, advance: Callable[[LiveSession], object]) -> None:
        """Let somebody who speaks live for so many ticks, as fast as it goes; nobody sees it."""
        nobody = LiveSession(self._avatar, self._grey(), config=self._config.live, clock=self._clock, costs=costs)
        samples = (ticks + self._config.live.onset_ticks) * SAMPLE_RATE_HZ // FPS
        nobody.say(np.zeros(samples, np.float32), SAMPLE_RATE_HZ)  # cuts once, so that this is measured too
        nobody.end_segment()
        while nobody.snapshot_stats().frames < ticks:
            advance(nobody)
            while nobody.snapshot_stats().lead_ticks > 0:
                nobody.take()

    def _thread_comparison(self, many: int) -> Callable[[], tuple[float, float]]:
        """Times the decoding of one latent frame with `many` threads, and with one."""
        avatar, point = self._avatar, self._avatar.open(self._grey()).point
        still = point.bank.conditions.motion[:, :1] if avatar.motion_dim else None

        def timed(count: int) -> float:
            torch.set_num_threads(count)
            begin_s = self._clock()
            with avatar.computing():
                avatar.codec.decode(point.bank.reference, point.decoding, still)
            return self._clock() - begin_s

        return lambda: (timed(many), timed(1))

    def _grey(self) -> NDArray[np.uint8]:
        size = self._avatar.config.size
        return np.full((size, size, 3), 128, np.uint8)

    def _run(self, ready: Future[None]) -> None:
        # All computing happens in this thread, the measuring too.
        try:
            self._measure()
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        self._serve()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            living = self._living()
            session = self._turns.most_urgent(living)
            if session is None:
                self._turns.compare_threads(living)
                self._wake.wait(_LOOK_S)
                continue
            try:
                self._turns.give(session, len(living))
            except Exception as error:  # one session's fault must not end the others
                _LOG.exception("A live session failed and is closed")
                self.close(session, f"{type(error).__name__}: {error}")
