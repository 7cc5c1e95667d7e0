"""A stand-in for `Avatar` whose pictures say what they were made of, so that tests can check every tick by itself.

A speech tick k sounds as the constant k / 4096. Its picture carries k, its memory the list of all pictures before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray

from flowact.core.errors import ConfigError
from flowact.diffusion.guidance import Guidance, VoiceGuidance
from flowact.stream.live import LiveSession
from flowact.stream.planner import Action, Moment

SIZE = 16
UNIT = 4096
LOOKAHEAD = 4


class VirtualClock:
    """Time that goes on only when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def now(self) -> float:
        return self.now_s

    async def sleep_until(self, at_s: float) -> None:
        self.now_s = max(self.now_s, at_s)


class Tape:
    """Answers like `Session`."""

    def __init__(self, avatar: TapeAvatar) -> None:
        self.avatar = avatar
        self.point: tuple[int, ...] = ()
        self._chunks: list[list[int]] = []
        self._heard: list[int] = []
        self._past = 0

    @property
    def frames_wanted(self) -> int:
        return max(0, 12 + LOOKAHEAD - len(self._heard))

    def hear(self, samples: NDArray[np.float32]) -> None:
        fresh = [round(float(x) * UNIT) for x in samples[::640]]
        self._heard.extend(fresh[self._past :])
        self._past = max(0, self._past - len(fresh))

    def condition(self, prompt: str) -> list[int]:
        assert len(self._heard) >= 12 + LOOKAHEAD
        self.avatar.prompts.append(prompt)
        chunk, self._heard = self._heard[:12], self._heard[12:]
        return chunk

    def generate(
        self, conditions: list[int], is_unwanted: Callable[[], bool] = lambda: False, guidance: Guidance | None = None
    ) -> list[int] | None:
        if is_unwanted():
            return None
        self.avatar.guided.append(guidance is self.avatar.guidance)
        self.avatar.compute()
        self._chunks.append(conditions)
        return self._chunks.pop(0) if len(self._chunks) == 3 else None

    def decode_stepwise(self, chunk: list[int], every: int = 1) -> Iterator[tuple[NDArray[np.uint8], tuple[int, ...]]]:
        self.avatar.painted.append(every)
        for i in range(0, 12, 4):
            codes = chunk[i : i + 4]
            self.point = (*self.point, *codes)
            frames = np.zeros((4, SIZE, SIZE, 3), np.uint8)
            frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.array(codes) // 256, np.array(codes) % 256
            yield frames, self.point
            self.avatar.between()

    def resume(self, point: tuple[int, ...], voice: NDArray[np.float32]) -> None:
        self.point, self._chunks, self._heard, self._past = point, [], [], len(voice) // 640
        self.avatar.resumed.append(point)
        self.hear(voice)


class TapeAvatar:
    """Answers like `Avatar`. `compute` runs in the middle of each shift, `between` after each latent frame.

    It notes which shifts were guided, and of how many pictures one was painted in each chunk.
    """

    def __init__(self, compute: Callable[[], None] = lambda: None, between: Callable[[], None] = lambda: None) -> None:
        self.plan, self.config = SimpleNamespace(chunks=3), SimpleNamespace(size=SIZE)
        self.compute, self.between = compute, between
        self.guidance: Guidance = VoiceGuidance(3.0, torch.ones(1, 1))
        self.guided: list[bool] = []
        self.painted: list[int] = []
        self.prompts: list[str] = []
        self.resumed: list[tuple[int, ...]] = []

    def check_portrait(self, portrait: NDArray[np.uint8]) -> None:
        if portrait.shape != (SIZE, SIZE, 3):
            raise ConfigError("portrait")

    def open(self, portrait: NDArray[np.uint8], seed: int = 0) -> Tape:
        return Tape(self)


class NoPlanner:
    """Never proposes anything."""

    def propose(self, moment: Moment) -> Action | None:
        return None


def still() -> NDArray[np.uint8]:
    return np.zeros((SIZE, SIZE, 3), np.uint8)


def speech(first: int, ticks: int) -> NDArray[np.float32]:
    """Sound of speech ticks `first`, `first + 1`, ..."""
    return np.repeat(np.arange(first, first + ticks, dtype=np.float32) / UNIT, 640)


def picture(frame: NDArray[np.uint8]) -> int:
    """The speech tick that a picture was made of; 0 for silence."""
    return int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 1])


def heard(sound: NDArray[np.float32]) -> int:
    """The speech tick that sounds; 0 for silence."""
    return round(float(sound[0]) * UNIT)


def fill(session: LiveSession) -> None:
    """Compute until the lead is full."""
    for _ in range(100):
        if session.deadline() is None:
            return
        session.advance()
    raise AssertionError("the lead never fills")
