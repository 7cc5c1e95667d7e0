"""A person who needs no networks: speech goes straight onto the timeline, as `LiveSession` promises it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from flowact.core.errors import SessionError
from flowact.core.types import State, Tick
from flowact.stream.live import Action
from flowact.stream.voice import VoiceQueue

SIDE = 16
PORTRAIT = np.full((SIDE, SIDE, 3), 90, np.uint8)


class FakePerson:
    """Answers like `LiveSession`, and remembers what it was told. Every frame has the tick's number in its corner."""

    def __init__(self) -> None:
        self.actions: list[Action | None] = []
        self.user: list[bool] = []
        self.overheard = 0
        self.interruptions = 0
        self.taken: list[Tick] = []
        self.queued_s: float | None = None
        self.closed_reason: str | None = None
        self.is_started = True
        self._voice = VoiceQueue(120.0)
        self._epoch = self._silent_epoch = 0

    def say(self, sound: NDArray[np.float32], rate: int, segment: str = "speech") -> None:
        if self.closed_reason is not None:
            raise SessionError(f"The session is closed ({self.closed_reason}).")
        self._voice.push(sound, rate, segment)

    def end_segment(self, segment: str = "speech") -> None:
        self._voice.end(segment)

    def overhear(self, sound: NDArray[np.float32], rate: int) -> None:
        self.overheard += len(sound)

    def user_speech(self, speaking: bool) -> None:
        self.user.append(speaking)

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def release(self) -> None:
        self.actions.append(None)

    def interrupt(self) -> None:
        self.interruptions += 1
        self._voice.clear()
        self._epoch += 1
        self._silent_epoch = self._epoch

    def close(self, reason: str = "closed") -> None:
        self.closed_reason = self.closed_reason or reason

    def audible(self, tick: Tick) -> Tick:
        if tick.epoch >= self._silent_epoch:
            return tick
        return replace(tick, sound=np.zeros_like(tick.sound), segment=None, ends_segment=False)

    def snapshot_stats(self) -> SimpleNamespace:
        queued_s = len(self._voice) / 25 if self.queued_s is None else self.queued_s
        return SimpleNamespace(queued_s=queued_s)

    def take(self) -> Tick:
        index = len(self.taken)
        frame = PORTRAIT.copy()
        frame[0, 0] = index % 256
        voice = self._voice.take(1)
        sound = voice[0].sound if voice else np.zeros(640, np.float32)
        segment, ends = (voice[0].segment, voice[0].ends) if voice else (None, False)
        state = State.TALK if voice else State.IDLE
        tick = Tick(index, self._epoch, frame, sound, state, segment, ends, False)
        self.taken.append(tick)
        return tick


def speech(seconds: float, rate: int = 24_000, level: float = 0.5) -> bytes:
    """A tone as 16-bit sound."""
    at = np.arange(round(seconds * rate)) / rate
    return (level * 32767 * np.sin(2 * np.pi * 220 * at)).astype(np.int16).tobytes()
