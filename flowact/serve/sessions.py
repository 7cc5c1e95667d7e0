"""The book of sessions: who may open one, whose lease has ended, who has to go."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from flowact.core.errors import SessionError
from flowact.serve.config import ServeConfig
from flowact.serve.errors import RequestError
from flowact.serve.messages import Mode
from flowact.serve.metrics import Metrics
from flowact.serve.portraits import PortraitShelf
from flowact.serve.seat import Seat
from flowact.serve.security import same
from flowact.serve.talk import Equipment
from flowact.stream.engine import Engine, EngineFullError

logger = logging.getLogger(__name__)

GOING_DOWN = "server is going down"
_RETRY_S = 5.0


@dataclass
class _Entry:
    seat: Seat
    opened_s: float
    renewed_s: float
    discarded: int = 0


class SessionBook:
    """All open sessions, by id.

    Args:
        engine: makes the people live and says when it is full.
        model: name of the model.
        size: side of its pictures in pixels.
        config: of the server.
        portraits: where sessions take theirs from.
        metrics: of the server.
        now: the clock, in seconds.
        equipment: what conversations are held with.
    """

    def __init__(
        self,
        engine: Engine,
        model: str,
        size: int,
        config: ServeConfig,
        portraits: PortraitShelf,
        metrics: Metrics,
        now: Callable[[], float],
        equipment: Equipment,
    ) -> None:
        self._engine, self._model, self._size = engine, model, size
        self._config, self._portraits = config, portraits
        self._metrics, self._now, self._equipment = metrics, now, equipment
        self._entries: dict[str, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.is_draining = False

    def __len__(self) -> int:
        """Open sessions."""
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the limit of the settings is reached; the engine may refuse earlier."""
        most = self._config.max_sessions
        return most is not None and len(self._entries) >= most

    def open(self, portrait: str, seed: int, mode: Mode) -> Seat:
        """Begin a session.

        Raises:
            RequestError: 404 no such portrait; 503 full, or the server goes down.
        """
        if self.is_draining:
            raise self._refuse("draining", GOING_DOWN, _RETRY_S)
        pixels = self._portraits.get(portrait)
        if self.is_full:
            most = self._config.max_sessions
            raise self._refuse("full", f"all {most} sessions of this server are taken; try again soon", _RETRY_S)
        planner = self._equipment.plan(pixels, seed)
        try:
            live = self._engine.open(pixels, seed, planner)
        except EngineFullError as error:
            raise self._refuse("full", str(error), error.retry_after_s) from error
        except SessionError as error:
            raise self._refuse("down", str(error), _RETRY_S) from error
        seat = Seat(
            live,
            planner,
            portrait,
            mode,
            self._size,
            self._model,
            seed,
            self._config,
            self._metrics,
            self._equipment,
            self._broke,
        )
        now = self._now()
        self._entries[seat.id] = _Entry(seat, now, now)
        self._metrics.sessions.set(len(self._entries))
        return seat

    def get(self, id: str) -> Seat:
        """An open session; this counts as a sign of life.

        Raises:
            RequestError: 404.
        """
        entry = self._entries.get(id)
        if entry is None:
            raise RequestError(404, "no_such_session", "this session is not there, or has ended; open another one")
        entry.renewed_s = self._now()
        return entry.seat

    def is_session_token(self, id: str, token: str | None) -> bool:
        """Whether a token is that of the session."""
        entry = self._entries.get(id)
        return entry is not None and same(token, entry.seat.token)

    async def close(self, seat: Seat, reason: str) -> None:
        """End a session and free its place; safe to call twice."""
        if self._entries.pop(seat.id, None) is None:
            return
        self._metrics.sessions.set(len(self._entries))
        self._metrics.closed.labels(_label(reason)).inc()
        self._engine.close(seat.live, reason)
        await seat.close(reason)
        logger.info("session %s ended: %s", seat.id, reason)

    async def reap(self) -> None:
        """End the sessions of clients that are gone, and those that have lasted as long as they may."""
        now, longest = self._now(), self._config.longest_session_s
        for entry in tuple(self._entries.values()):
            self._portraits.touch(entry.seat.portrait)
            if entry.seat.is_attached:
                entry.renewed_s = now
            if longest is not None and now - entry.opened_s >= longest:
                await self.close(entry.seat, f"a session of this server lasts at most {longest:g} s")
            elif now - entry.renewed_s >= self._config.lease_s:
                await self.close(entry.seat, "the lease expired: nobody was connected and no heartbeat came")

    async def drain(self) -> None:
        """Open no more sessions and end those that are open."""
        self.is_draining = True
        seats = [entry.seat for entry in self._entries.values()]
        await asyncio.gather(*(self.close(seat, GOING_DOWN) for seat in seats))
        if self._closing:
            await asyncio.wait(self._closing)

    def measure(self) -> None:
        """Bring the figures of all sessions up to date."""
        stats = [entry.seat.live.snapshot_stats() for entry in self._entries.values()]
        for entry, now in zip(self._entries.values(), stats, strict=True):
            self._metrics.discarded.inc(now.discarded_chunks - entry.discarded)
            entry.discarded = now.discarded_chunks
        seconds = [entry.seat.stats() for entry in self._entries.values()]
        metrics = self._metrics
        metrics.show_engine(self._engine.capacity())
        metrics.lead_s.set(min((s["lead_ms"] / 1000 for s in seconds), default=0.0))
        metrics.rtf.set(max((s["rtf"] for s in seconds), default=0.0))
        metrics.chunk_s.labels("0.5").set(max((s.chunk_p50_ms / 1000 for s in stats), default=0.0))
        metrics.chunk_s.labels("0.99").set(max((s.chunk_p99_ms / 1000 for s in stats), default=0.0))

    def _refuse(self, code: str, message: str, after_s: float) -> RequestError:
        self._metrics.refused.labels(code).inc()
        headers = {"Retry-After": str(max(1, math.ceil(after_s)))}
        return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers)

    def _broke(self, seat: Seat, reason: str) -> None:
        task = asyncio.get_running_loop().create_task(self.close(seat, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _label(reason: str) -> str:
    """A reason in few words, so that the figures stay few."""
    known = {"closed by the client": "client", GOING_DOWN: "drain"}
    if reason.startswith("the lease"):
        return "lease"
    return known.get(reason, "limit" if reason.startswith("a session") else "failure")
