"""One thread that computes for all live sessions of one model, the earliest deadline first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ, SHIFT_S
from flowact.core.errors import SessionError
from flowact.stream.avatar import Avatar
from flowact.stream.costs import Costs
from flowact.stream.live import LiveConfig, LiveSession
from flowact.stream.planner import Planner

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
    """

    most_load: float = 0.85
    retry_after_s: float = 15.0
    warm_up_ticks: int = 48
    live: LiveConfig = field(default_factory=LiveConfig)


@dataclass(frozen=True)
class Capacity:
    """How many people fit.

    Attributes:
        sessions: that live now.
        slots: that could live at once; at least one, since a machine that is too slow for one is still shown as it is.
        chunk_s: measured cost of a chunk.
        load: share of real time that the living sessions cost.
    """

    sessions: int
    slots: int
    chunk_s: float
    load: float


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
        """`threads` compute together, see `leave_cores_to_engine`; None leaves torch's number."""
        self._threads = threads
        self._avatar, self._config, self._clock = avatar, config or EngineConfig(), clock
        self._costs = Costs()
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
        chunk_s = self._costs.mean_chunk_s or SHIFT_S
        slots = max(1, int(self._config.most_load * SHIFT_S / chunk_s))
        return Capacity(len(self._sessions), slots, chunk_s, len(self._sessions) * chunk_s / SHIFT_S)

    def _living(self) -> list[LiveSession]:
        with self._lock:
            return list(self._sessions)

    def _warm_up(self, costs: Costs) -> None:
        size = self._avatar.config.size
        grey = np.full((size, size, 3), 128, np.uint8)
        nobody = LiveSession(self._avatar, grey, config=self._config.live, clock=self._clock, costs=costs)
        nobody.say(np.zeros(SAMPLE_RATE_HZ, np.float32), SAMPLE_RATE_HZ)  # so that a cut is measured too
        nobody.end_segment()
        while nobody.snapshot_stats().frames < self._config.warm_up_ticks:
            nobody.advance()
            while nobody.snapshot_stats().lead_ticks > 0:
                nobody.take()

    def _run(self, ready: Future[None]) -> None:
        # All computing happens in this thread, the measuring too.
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            self._warm_up(Costs())
            self._warm_up(self._costs)
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        self._serve()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            session = self._most_urgent()
            if session is None:
                self._wake.wait(_LOOK_S)
                continue
            try:
                session.advance()
            except Exception as error:  # one session's fault must not end the others
                _LOG.exception("A live session failed and is closed")
                self.close(session, f"{type(error).__name__}: {error}")

    def _most_urgent(self) -> LiveSession | None:
        deadlines = [(session.deadline(), i, session) for i, session in enumerate(self._living())]
        due = [(at_s, i, session) for at_s, i, session in deadlines if at_s is not None]
        return min(due)[2] if due else None
