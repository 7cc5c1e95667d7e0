"""Which speech an agent gave, and when the person has finished saying it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowact.core.types import Tick
from flowact.stream.live import LiveSession

Note = TypeVar("Note")

MOST_QUEUED_S = 60.0
"""Speech that may wait in a session; agents give it faster than it is spoken."""
_LOOK_S = 0.1


class Speeches(Generic[Note]):
    """Names the speeches of an agent and tells, tick by tick, which are over. Each has a note of the agent's."""

    def __init__(self) -> None:
        self._number = 0
        self._open: str | None = None
        self._ended: deque[tuple[str, Note]] = deque()
        self._seen: str | None = None
        self._lost = 0

    @property
    def pending(self) -> int:
        """Speeches that were given in full and are not over."""
        return len(self._ended)

    def current(self) -> str:
        """The speech that sound is given for now; the first sound after an end begins another one."""
        if self._open is None:
            self._number += 1
            self._open = f"speech-{self._number}"
        return self._open

    def end(self, note: Note) -> str | None:
        """No more sound for the current speech, which the answer names; None if there was no sound in it."""
        ended, self._open = self._open, None
        if ended is not None:
            self._ended.append((ended, note))
        return ended

    def forget(self) -> None:
        """All speech was broken off: none of it will be over."""
        self._open = self._seen = None
        self._ended.clear()

    def passed(self, tick: Tick, lost: int = 0) -> list[Note]:
        """Notes of the speeches that are over with this tick, in order.

        Args:
            tick: as it was shown.
            lost: ticks that were never shown, so far; an end may have been among them.
        """
        names = [name for name, _ in self._ended]
        over = 0
        if tick.segment in names:
            over = names.index(tick.segment) + int(tick.ends_segment)
        elif lost != self._lost and self._seen in names:
            over = names.index(self._seen) + 1
        self._lost, self._seen = lost, tick.segment or self._seen
        return [self._ended.popleft()[1] for _ in range(over)]


def from_int16(audio: bytes | memoryview, channels: int) -> NDArray[np.float32]:
    """Interleaved 16-bit sound as mono float32 [S] in -1..1."""
    samples = np.frombuffer(audio, np.int16).astype(np.float32) / 32768
    return samples.reshape(-1, channels).mean(1, dtype=np.float32)


def to_int16(sound: NDArray[np.float32]) -> bytes:
    """Mono float32 [S] in -1..1 as 16-bit sound."""
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()


async def wait_for_room(session: LiveSession) -> None:
    """Return once the session can take more speech, or is closed."""
    while session.closed_reason is None and session.snapshot_stats().queued_s > MOST_QUEUED_S:
        await asyncio.sleep(_LOOK_S)
