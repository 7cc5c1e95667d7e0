"""Films made in the background: a short queue, one at a time, and only while live sessions leave room."""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import flowact
from flowact.core.clock import FPS
from flowact.core.errors import FlowActError
from flowact.core.types import Clip
from flowact.media.film import write_film
from flowact.media.provenance import Provenance
from flowact.media.report import Stopwatch
from flowact.serve.errors import RequestError

logger = logging.getLogger(__name__)

_PAUSE_S = 0.2


class Renderer(Protocol):
    """The part of `flowact.Avatar` that makes films."""

    config: Any

    def stream(
        self,
        image: NDArray[np.uint8],
        audio: Iterable[NDArray[np.float32]] | None = None,
        prompt: str | None = None,
        seed: int = 0,
        seconds: float | None = None,
    ) -> Iterator[Clip]:
        """Clips of the person, one chunk at a time."""
        ...


class Stage(StrEnum):
    """How far a film is."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class _CancelledError(Exception):
    """The client does not want the film any more."""


@dataclass(frozen=True)
class RenderWish:
    """What a film shall show: a portrait [size, size, 3], blocks of 16 kHz sound or none, a behaviour, a length."""

    image: NDArray[np.uint8]
    audio: list[NDArray[np.float32]] | None
    prompt: str | None
    seconds: float
    seed: int


@dataclass
class _Job:
    id: str
    wish: RenderWish
    stage: Stage = Stage.WAITING
    frames: int = 0
    trouble: str | None = None
    ended_s: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def wanted(self) -> int:
        return int(np.ceil(round(self.wish.seconds * FPS, 6)))


class RenderQueue:
    """Makes films one after the other in a thread of its own, in a temporary folder that `close` removes.

    Args:
        avatar: the model.
        has_room: whether live sessions leave the machine time; a film pauses while they do not.
        most: films waiting or running at once.
        ttl_s: how long a finished film is kept.
        now: the clock, in seconds.
    """

    def __init__(
        self, avatar: Renderer, has_room: Callable[[], bool], most: int, ttl_s: float, now: Callable[[], float]
    ) -> None:
        self._avatar, self._has_room, self._most, self._ttl_s, self._now = avatar, has_room, most, ttl_s, now
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._line: SimpleQueue[_Job | None] = SimpleQueue()
        self._folder = tempfile.TemporaryDirectory(prefix="flowact-renders-")
        self._thread = threading.Thread(target=self._work, name="flowact-renders", daemon=True)
        self._thread.start()

    def add(self, wish: RenderWish) -> str:
        """Queue a film and give its id.

        Raises:
            RequestError: 503, too many are waiting.
        """
        with self._lock:
            self._sweep()
            busy = sum(job.ended_s is None for job in self._jobs.values())
            if busy >= self._most:
                message = f"{busy} films are waiting or being made; try again when one is done"
                raise RequestError(503, "full", message, {"Retry-After": "30"})
            job = _Job(secrets.token_urlsafe(12), wish)
            self._jobs[job.id] = job
        self._line.put(job)
        return job.id

    def describe(self, id: str) -> dict[str, Any]:
        """How far a film is, for clients.

        Raises:
            RequestError: 404.
        """
        job = self._find(id)
        share = 1.0 if job.stage is Stage.DONE else job.frames / job.wanted
        return {
            "id": job.id,
            "stage": job.stage,
            "progress": round(share, 4),
            "frames": job.frames,
            "seconds": job.wish.seconds,
            "error": None if job.trouble is None else {"code": "failed", "message": job.trouble},
        }

    def film(self, id: str) -> Path:
        """The finished mp4.

        Raises:
            RequestError: 404, or 409 while it is being made.
        """
        job = self._find(id)
        if job.stage is not Stage.DONE:
            why = job.trouble or f"it is {job.stage}; ask again when its stage is done"
            raise RequestError(409, "not_ready", f"this film cannot be fetched: {why}")
        return self._path(job)

    def remove(self, id: str) -> None:
        """Stop a film and forget it.

        Raises:
            RequestError: 404.
        """
        job = self._find(id)
        job.cancelled.set()
        with self._lock:
            self._jobs.pop(id, None)
        if job.ended_s is not None:
            self._path(job).unlink(missing_ok=True)

    def close(self, timeout_s: float) -> None:
        """Stop what is being made and remove every film."""
        for job in self._jobs.values():
            job.cancelled.set()
        self._line.put(None)
        self._thread.join(timeout_s)
        self._folder.cleanup()

    def _find(self, id: str) -> _Job:
        with self._lock:
            self._sweep()
            job = self._jobs.get(id)
        if job is None:
            raise RequestError(404, "no_such_render", "this film is not there, or no longer")
        return job

    def _sweep(self) -> None:
        oldest = self._now() - self._ttl_s
        for job in [j for j in self._jobs.values() if j.ended_s is not None and j.ended_s < oldest]:
            del self._jobs[job.id]
            self._path(job).unlink(missing_ok=True)

    def _path(self, job: _Job) -> Path:
        return Path(self._folder.name) / f"{job.id}.mp4"

    def _work(self) -> None:
        while (job := self._line.get()) is not None:
            try:
                self._make(job)
                job.stage = Stage.DONE
            except _CancelledError:
                job.stage = Stage.FAILED
            except FlowActError as error:
                job.stage, job.trouble = Stage.FAILED, str(error)
            except Exception as error:
                logger.exception("a film failed")
                job.stage, job.trouble = Stage.FAILED, f"the engine failed ({error}); the log of the server says more"
            job.ended_s = self._now()

    def _make(self, job: _Job) -> None:
        wish, config = job.wish, self._avatar.config
        clips = self._avatar.stream(wish.image, wish.audio, wish.prompt, wish.seed, wish.seconds)
        made = Provenance.now(config.name, wish.seed, flowact.__version__)
        size = (config.size, config.size)
        write_film(self._paced(job, clips), self._path(job), size, wish.seconds, made, True, Stopwatch())

    def _paced(self, job: _Job, clips: Iterator[Clip]) -> Iterator[Clip]:
        """The clips, with a pause before each while live sessions need the machine."""
        while True:
            while not job.cancelled.is_set() and not self._has_room():
                job.stage = Stage.PAUSED
                time.sleep(_PAUSE_S)
            if job.cancelled.is_set():
                raise _CancelledError
            job.stage = Stage.RUNNING
            clip = next(clips, None)
            if clip is None:
                return
            job.frames = min(job.frames + len(clip.frames), job.wanted)
            yield clip
