"""An engine without networks: coloured pictures and the sound that was said, through the doors of the real one."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flowact.core.types import State, Tick
from flowact.stream.engine import Capacity, EngineFullError
from flowact.stream.live import Action, Interrupted, SessionStats

SIZE = 64


@dataclass
class FakeLive:
    """A person whose pictures count up and who says what they are given at 16 kHz, at once."""

    portrait: NDArray[np.uint8]
    seed: int
    queue: deque[tuple[NDArray[np.float32], str, bool]] = field(default_factory=deque)
    actions: list[Action] = field(default_factory=list)
    heard: int = 0
    user_is_speaking: bool = False
    closed_reason: str | None = None
    is_started: bool = True
    frames: int = 0
    epoch: int = 0
    fails_at: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, sound: NDArray[np.float32], rate: int, segment: str = "speech") -> None:
        for start in range(0, len(sound), 640):
            piece = sound[start : start + 640]
            self.queue.append((np.pad(piece, (0, 640 - len(piece))), segment, False))

    def end_segment(self, segment: str = "speech") -> None:
        if self.queue:
            sound, last, _ = self.queue.pop()
            self.queue.append((sound, last, True))

    def overhear(self, sound: NDArray[np.float32], rate: int) -> None:
        self.heard += len(sound)

    def user_speech(self, speaking: bool) -> None:
        self.user_is_speaking = speaking

    def note_words(self, who: str, text: str) -> None:
        pass

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def release(self) -> None:
        self.actions.clear()

    def interrupt(self) -> Interrupted:
        segment = self.queue[0][1] if self.queue else None
        self.queue.clear()
        self.epoch += 1
        return Interrupted(segment, 0.0, self.epoch)

    def close(self, reason: str = "closed") -> None:
        self.closed_reason = self.closed_reason or reason

    def take(self) -> Tick:
        if self.frames == self.fails_at:
            self.close("RuntimeError: the engine broke")
        sound, segment, ends = self.queue.popleft() if self.queue else (np.zeros(640, np.float32), None, False)
        frame = np.full_like(self.portrait, 40 + self.frames * 4 % 160)
        state = State.TALK if segment else State.IDLE
        tick = Tick(self.frames, self.epoch, frame, sound, state, segment, ends, False)
        self.frames += 1
        return tick

    def audible(self, tick: Tick) -> Tick:
        return tick if tick.epoch >= self.epoch else replace(tick, segment=None, sound=np.zeros_like(tick.sound))

    def snapshot_stats(self) -> SessionStats:
        prompt = self.actions[-1].prompt if self.actions else "a person waits"
        return SessionStats(
            self.frames, 0, 12, len(self.queue) / 25, 200.0, 250.0, 1, self.epoch, (0.3,), State.IDLE, prompt
        )


class FakeEngine:
    """Takes `slots` sessions."""

    def __init__(self, slots: int = 2) -> None:
        self.slots, self.living = slots, []  # type: tuple[int, list[FakeLive]]

    def open(self, portrait: NDArray[np.uint8], seed: int = 0, planner: object = None) -> FakeLive:
        if len(self.living) >= self.slots:
            raise EngineFullError(f"{self.slots} of {self.slots} sessions are taken", 14.2)
        live = FakeLive(portrait, seed)
        self.living.append(live)
        return live

    def close(self, session: FakeLive, reason: str = "closed") -> None:
        session.close(reason)
        if session in self.living:
            self.living.remove(session)

    def capacity(self) -> Capacity:
        return Capacity(len(self.living), self.slots, 0.2, 0.4)


class Clock:
    """Time that only goes on when it is told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s
