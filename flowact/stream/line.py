"""The avatar's own voice on its way from the queue through the stream: what sounds in which chunk, and back again."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FRAMES_PER_CHUNK
from flowact.core.types import State
from flowact.stream.voice import VoiceQueue, VoiceTick, silent_tick


@dataclass
class _Entered:
    """The sound of a chunk in flight, and what the person does in it."""

    voice: deque[VoiceTick]
    state: State


class VoiceLine:
    """Sound is *committed* when the hearing takes it in, *enters* with its chunk, and *leaves* with its pictures.

    While speech flows it is committed without a gap; between speeches silence is. Speech whose sound comes too slowly
    is torn only between chunks, and then waits until enough of it is there. Not locked: its owner does that.
    """

    def __init__(self, queue_s: float, onset_ticks: int) -> None:
        """`queue_s` of speech may wait; it begins when `onset_ticks` of it are there, or all of it."""
        self._queue, self._onset_ticks = VoiceQueue(queue_s), onset_ticks
        self._ahead: deque[VoiceTick] = deque()
        self._in_flight: deque[_Entered] = deque()
        self.is_flowing = False

    @property
    def queued_ticks(self) -> int:
        """Ticks of speech that wait."""
        return len(self._queue)

    @property
    def may_begin(self) -> bool:
        """Whether speech waits that does not flow yet, and enough of it is there."""
        return not self.is_flowing and self._is_ready

    @property
    def first_segment(self) -> str | None:
        """Id of the first speech that was not shown yet."""
        on_the_way = (tick.segment for tick in self._on_the_way() if tick.segment is not None)
        return next(on_the_way, self._queue.segment)

    @property
    def is_voiced(self) -> bool:
        """Whether speech sounds in a chunk in flight."""
        return any(tick.segment is not None for chunk in self._in_flight for tick in chunk.voice)

    @property
    def may_be_torn(self) -> bool:
        """Whether rewinding now would leave too little of a speech whose sound is still coming."""
        spoken = sum(tick.segment is not None for tick in self._on_the_way())
        return self._queue.is_open and spoken > 0 and spoken + len(self._queue) < self._onset_ticks

    def push(self, sound: NDArray[np.float32], rate: int, segment: str) -> None:
        """More speech; see `VoiceQueue.push`."""
        self._queue.push(sound, rate, segment)

    def end(self, segment: str) -> None:
        """No more sound for a speech."""
        self._queue.end(segment)

    def awaits(self, count: int) -> bool:
        """Whether committing `count` ticks now would tear a speech whose sound is still coming."""
        return self.is_flowing and self._queue.is_open and len(self._queue) < count

    def commit(self, count: int) -> list[VoiceTick]:
        """The next `count` ticks: speech while it flows, else silence."""
        speech: list[VoiceTick] = []
        if self.is_flowing:
            speech = self._queue.take(self._queue.ended_ticks if self.awaits(count) else count)
        fresh = speech + [silent_tick() for _ in range(count - len(speech))]
        if len(speech) < count:
            self.is_flowing = False
        self._ahead.extend(fresh)
        return fresh

    def upcoming(self) -> list[VoiceTick]:
        """The sound of the chunk that enters next."""
        return list(itertools.islice(self._ahead, FRAMES_PER_CHUNK))

    def enter(self, state: State) -> None:
        """The next chunk enters the stream with its sound."""
        self._in_flight.append(_Entered(deque(self._ahead.popleft() for _ in range(FRAMES_PER_CHUNK)), state))

    def leave(self, count: int) -> tuple[list[VoiceTick], State]:
        """The next `count` ticks have pictures now."""
        chunk = self._in_flight[0]
        voice = [chunk.voice.popleft() for _ in range(count)]
        if not chunk.voice:
            self._in_flight.popleft()
        return voice, chunk.state

    def rewind(self, dropped: Iterable[VoiceTick]) -> None:
        """All speech that was not shown waits again: that of the ticks `dropped` from the ring, then all on the way."""
        spoken = [tick for tick in (*dropped, *self._on_the_way()) if tick.segment is not None]
        self._in_flight.clear()
        self._ahead.clear()
        self._queue.put_back(spoken)
        self.is_flowing = bool(spoken) or self._is_ready

    def hush(self) -> None:
        """Forget all speech."""
        self._queue.clear()
        for chunk in self._in_flight:
            chunk.voice = deque(silent_tick() for _ in chunk.voice)
        self._ahead = deque(silent_tick() for _ in self._ahead)

    @property
    def _is_ready(self) -> bool:
        return self._queue.ended_ticks > 0 or len(self._queue) >= self._onset_ticks

    def _on_the_way(self) -> Iterable[VoiceTick]:
        return itertools.chain(*(chunk.voice for chunk in self._in_flight), self._ahead)
