"""The avatar's own voice on its way in: any rate and piece size becomes ticks of 640 samples at 16 kHz."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import SessionError, ShapeError

_RATES_HZ = (4_000, 192_000)
_FADE_SAMPLES = SAMPLES_PER_FRAME // 2


@dataclass(frozen=True)
class VoiceTick:
    """40 ms of sound.

    Attributes:
        sound: [640] float32 at 16 kHz.
        segment: id of the speech it belongs to; None for silence between speeches.
        ends: whether it is the last one of that speech.
    """

    sound: NDArray[np.float32]
    segment: str | None = None
    ends: bool = False

    def faded(self) -> VoiceTick:
        """The same sound falling to silence within 20 ms; it belongs to no speech any more."""
        fall = np.zeros(SAMPLES_PER_FRAME, np.float32)
        fall[:_FADE_SAMPLES] = np.linspace(1, 0, _FADE_SAMPLES)
        return VoiceTick(self.sound * fall)


def silent_tick() -> VoiceTick:
    """40 ms of silence that belong to no speech."""
    return VoiceTick(np.zeros(SAMPLES_PER_FRAME, np.float32))


class VoiceQueue:
    """Speech that waits to be shown, in order, bounded. Not locked: its owner does that."""

    def __init__(self, limit_s: float) -> None:
        self._limit = round(limit_s * FPS)
        self._ticks: deque[VoiceTick] = deque()
        self._open_ticks = 0
        self._segment: str | None = None
        self._rest = np.zeros(0, np.float32)
        self._rate = SAMPLE_RATE_HZ
        self._resampler: soxr.ResampleStream | None = None

    def __len__(self) -> int:
        """Ticks that wait."""
        return len(self._ticks)

    @property
    def is_open(self) -> bool:
        """Whether more sound is awaited for the last segment."""
        return self._segment is not None

    @property
    def ended_ticks(self) -> int:
        """Ticks that wait and belong to speech that is all there."""
        return len(self._ticks) - self._open_ticks

    @property
    def segment(self) -> str | None:
        """Id of the first speech that waits."""
        return self._ticks[0].segment if self._ticks else self._segment

    def push(self, sound: NDArray[np.float32], rate: int, segment: str) -> None:
        """Add sound [S] in -1..1; another segment ends the one before it.

        Raises:
            ShapeError: not mono floats at a possible rate.
            SessionError: more sound waits than the queue may hold.
        """
        check_sound(sound, rate)
        if len(self._ticks) + len(sound) * FPS / rate > self._limit:
            raise SessionError(
                f"{len(self._ticks) / FPS:.1f} s of speech wait and {len(sound) / rate:.1f} s more were given; the "
                f"queue holds {self._limit / FPS:.0f} s. Send speech in pieces, as it is played."
            )
        if self._segment != segment:
            self.end()
            self._segment = segment
        if rate != self._rate or (rate != SAMPLE_RATE_HZ and self._resampler is None):
            self._flush_resampler()
            self._rate = rate
            if rate != SAMPLE_RATE_HZ:
                self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
        sound = sound.astype(np.float32, copy=False)
        self._cut(sound if self._resampler is None else self._resampler.resample_chunk(sound))

    def end(self, segment: str | None = None) -> None:
        """No more sound for the open segment, or for `segment` where it is the open one; pads its last tick."""
        if self._segment is None or segment not in (None, self._segment):
            return
        self._flush_resampler()
        if len(self._rest):
            last = np.pad(self._rest, (0, SAMPLES_PER_FRAME - len(self._rest)))
            self._ticks.append(VoiceTick(last, self._segment, ends=True))
        self._segment, self._rest, self._open_ticks = None, np.zeros(0, np.float32), 0

    def take(self, count: int) -> list[VoiceTick]:
        """The next `count` ticks, or as many as there are."""
        taken = [self._ticks.popleft() for _ in range(min(count, len(self._ticks)))]
        self._open_ticks = min(self._open_ticks, len(self._ticks))
        return taken

    def put_back(self, ticks: Iterable[VoiceTick]) -> None:
        """Ticks that were taken but not shown wait again, before all others."""
        self._ticks = deque(itertools.chain(ticks, self._ticks))
        of_open = itertools.takewhile(lambda tick: self.is_open and not tick.ends, reversed(self._ticks))
        self._open_ticks = sum(1 for _ in of_open)

    def clear(self) -> None:
        """Forget all speech, also the open segment."""
        self._ticks.clear()
        self._open_ticks = 0
        self._segment, self._rest, self._resampler = None, np.zeros(0, np.float32), None

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._cut(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None

    def _cut(self, sound: NDArray[np.float32]) -> None:
        """Whole ticks wait; the last one is kept back, so that a segment always has a tick left to end with."""
        self._rest = np.concatenate((self._rest, sound))
        whole = max(0, (len(self._rest) - 1) // SAMPLES_PER_FRAME)
        for i in range(whole):
            piece = self._rest[i * SAMPLES_PER_FRAME : (i + 1) * SAMPLES_PER_FRAME]
            self._ticks.append(VoiceTick(piece.copy(), self._segment))
        self._open_ticks += whole
        self._rest = self._rest[whole * SAMPLES_PER_FRAME :]


class Loudness:
    """How loud a voice is now, in dB of full scale; falls slowly enough to be read twice a second."""

    FLOOR_DB = -90.0
    FALL_DB_PER_S = 30.0

    def __init__(self) -> None:
        self._level_db, self._at_s = self.FLOOR_DB, 0.0

    def hear(self, sound: NDArray[np.float32], at_s: float) -> None:
        """Take in sound [S] that ended at clock time `at_s`."""
        if len(sound):
            level_db = 10 * float(np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-9))
            self._level_db, self._at_s = max(level_db, self.at(at_s)), at_s

    def at(self, now_s: float) -> float:
        """Loudness at a clock time."""
        return max(self.FLOOR_DB, self._level_db - self.FALL_DB_PER_S * max(0.0, now_s - self._at_s))


def check_sound(sound: NDArray[np.float32], rate: int) -> None:
    """Refuse what is not mono floating sound at a possible rate with a ShapeError."""
    if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating) or not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise ShapeError(
            f"Sound is {sound.dtype} {sound.shape} at {rate} Hz; expected mono float32 in -1..1, shape [samples], at "
            f"{_RATES_HZ[0]} to {_RATES_HZ[1]} Hz. Divide int16 by 32768 and average the channels."
        )
