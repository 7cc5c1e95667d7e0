"""The timeline of a live session: ticks that wait to be shown, what was shown last, and where it may be cut."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS, FRAMES_PER_LATENT
from flowact.core.types import State, Tick
from flowact.stream.session import ResumePoint
from flowact.stream.voice import VoiceTick, silent_tick

PAST_TICKS = 38
"""Sound that is remembered for the hearing after a cut: about 1.5 s."""


@dataclass(frozen=True)
class Slot:
    """A tick that waits.

    Attributes:
        frame: [H, W, 3] uint8 RGB.
        voice: its sound.
        state: what the person does.
        epoch: under which it was made.
        point: at the last tick of a latent frame, where the stream can be resumed after it.
        asked_s: at the first tick after a cut, the clock time at which the cut was asked for.
    """

    frame: NDArray[np.uint8]
    voice: VoiceTick
    state: State
    epoch: int
    point: ResumePoint | None = None
    asked_s: float | None = None


class Timeline:
    """The ring between the engine and the pacer. Not locked: its owner does that."""

    def __init__(self, still: NDArray[np.uint8]) -> None:
        """`still` is what is shown before anything was made: the portrait, uint8 RGB [H, W, 3]."""
        self._ring: deque[Slot] = deque()
        self._past: deque[NDArray[np.float32]] = deque(maxlen=PAST_TICKS)
        self._frame, self._state = still, State.IDLE
        self._speech_ticks = self._epoch = 0
        self.segment: str | None = None
        self.point: ResumePoint | None = None
        self.released = self.held = 0
        self.taken_s: float | None = None

    def __len__(self) -> int:
        """Ticks that wait: the lead."""
        return len(self._ring)

    @property
    def played_s(self) -> float:
        """Seconds of the current speech that were released."""
        return self._speech_ticks / FPS

    @property
    def next_segment(self) -> str | None:
        """Id of the first speech on the ring."""
        return next((slot.voice.segment for slot in self._ring if slot.voice.segment is not None), None)

    def next_at(self, now_s: float) -> float:
        """Clock time at which the next tick will be taken, if one is taken every 40 ms."""
        return now_s if self.taken_s is None else max(now_s, self.taken_s + 1 / FPS)

    def ends_at(self, now_s: float) -> float:
        """Clock time at which the ring will be empty, if a tick is taken every 40 ms."""
        return self.next_at(now_s) + len(self._ring) / FPS

    def ticks_before(self, at_s: float, now_s: float) -> int:
        """Ticks that will be taken before clock time `at_s`, if one is taken every 40 ms."""
        return ticks_for(max(0.0, at_s - self.next_at(now_s)))

    def append(self, slots: Iterable[Slot]) -> None:
        """More ticks; whole latent frames only."""
        self._ring.extend(slots)

    def take(self, now_s: float) -> tuple[Tick, float | None]:
        """The next tick and its `asked_s`; the last frame with silence when nothing is ready."""
        if self._ring:
            slot, is_held = self._ring.popleft(), False
            self._frame, self._state, self._epoch = slot.frame, slot.state, slot.epoch
            self.point = slot.point or self.point
        else:
            slot, is_held = Slot(self._frame, silent_tick(), self._state, self._epoch), True
            self.held += 1
        self._count(slot.voice)
        voice = slot.voice
        self._past.append(voice.sound)
        tick = Tick(self.released, slot.epoch, slot.frame, voice.sound, slot.state, voice.segment, voice.ends, is_held)
        self.released, self.taken_s = self.released + 1, now_s
        return tick, slot.asked_s

    def cut(self, after_ticks: int, after_speech: bool) -> list[Slot]:
        """Drop and return all ticks from the first latent boundary on that lies `after_ticks` or later, and behind all
        speech on the ring if `after_speech`.
        """
        slots = list(self._ring)
        if after_speech:
            spoken = [i + 1 for i, slot in enumerate(slots) if slot.voice.segment is not None]
            after_ticks = max([after_ticks, *spoken])
        boundaries = [i + 1 for i, slot in enumerate(slots) if slot.point is not None]
        if len(slots) % FRAMES_PER_LATENT == 0:
            boundaries.insert(0, 0)  # the tick that was taken last ended a latent frame
        keep = next((b for b in boundaries if b >= after_ticks), len(slots))
        self._ring = deque(slots[:keep])
        return slots[keep:]

    def end_point(self) -> ResumePoint | None:
        """Where the stream stands at the end of the ring; None before the first latent frame."""
        return self._ring[-1].point if self._ring else self.point

    def sound_before_end(self) -> NDArray[np.float32]:
        """The last 1.5 s of sound, up to the end of the ring, [S] in whole ticks."""
        sounds = [*self._past, *(slot.voice.sound for slot in self._ring)][-PAST_TICKS:]
        return np.concatenate(sounds) if sounds else np.zeros(0, np.float32)

    def silence(self, epoch: int) -> None:
        """Break the speech off: no sound in any tick, but the first one fades out; all are stamped anew."""
        silent = [replace(slot, voice=silent_tick(), epoch=epoch) for slot in self._ring]
        if self._ring and self.segment is not None and self._ring[0].voice.segment is not None:
            silent[0] = replace(silent[0], voice=self._ring[0].voice.faded())
        self._ring, self._epoch = deque(silent), epoch
        self._forget_speech()

    def _forget_speech(self) -> None:
        self.segment, self._speech_ticks = None, 0

    def _count(self, voice: VoiceTick) -> None:
        if voice.segment is None:
            return
        if voice.segment != self.segment:
            self.segment, self._speech_ticks = voice.segment, 0
        self._speech_ticks += 1
        if voice.ends:
            self._forget_speech()


def ticks_for(seconds: float) -> int:
    """Ticks that last at least `seconds`."""
    return math.ceil(seconds * FPS - 1e-9)
