"""When the user speaks: silero's voice activity, with onset and end held steady.

Silero is a small recurrent network; its ONNX file is run directly, since importing its package sets torch to
one thread.
"""

from __future__ import annotations

import importlib.util
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError, ShapeError

WINDOW = 512
"""Samples at 16 kHz that are judged together: 32 ms."""
_CONTEXT = 64
_RATES_HZ = (4_000, 192_000)

Judge = Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[float, NDArray[np.float32]]]
"""(window with context [576], state [2, 1, 128]) -> (probability of speech, next state)."""


@dataclass(frozen=True)
class VadConfig:
    """What counts as speech.

    Attributes:
        speech: probability from which a window is speech.
        silence: probability below which it is silence; between the two, nothing changes.
        onset_s: speech for so long begins an utterance.
        confirm_s: so much speech in an utterance is no cough and no knock: it may interrupt somebody.
        end_s: silence for so long ends it.
        before_s: sound before the onset that belongs to the utterance.
        longest_s: an utterance is cut here, and the next begins.
    """

    speech: float = 0.5
    silence: float = 0.35
    onset_s: float = 0.128
    confirm_s: float = 0.3
    end_s: float = 0.5
    before_s: float = 0.3
    longest_s: float = 30.0

    def __post_init__(self) -> None:
        """Check the order of the thresholds and times."""
        if not 0 < self.silence <= self.speech < 1:
            raise ConfigError(f"speech is {self.speech}, silence {self.silence}; expected 0 < silence <= speech < 1")
        if min(self.onset_s, self.confirm_s, self.end_s) <= 0 or self.before_s < 0 or self.longest_s <= self.onset_s:
            raise ConfigError(
                f"onset {self.onset_s} s, confirm {self.confirm_s} s, end {self.end_s} s, before {self.before_s} s, "
                f"longest {self.longest_s} s; "
                "expected times above 0, and the longest above the onset"
            )


@dataclass(frozen=True)
class VoiceStarted:
    """The user began to speak `at_s` seconds into the stream; it was certain a little later."""

    at_s: float


@dataclass(frozen=True)
class VoiceConfirmed:
    """The user means to speak: the utterance holds `confirm_s` of speech, `at_s` seconds into the stream."""

    at_s: float


@dataclass(frozen=True)
class VoiceEnded:
    """The user stopped.

    Attributes:
        at_s: seconds into the stream.
        sound: [S] the utterance at 16 kHz, with a little silence around it.
        is_whole: False when it was cut for its length and goes on.
        is_confirmed: whether it was long enough to be confirmed.
    """

    at_s: float
    sound: NDArray[np.float32]
    is_whole: bool = True
    is_confirmed: bool = True


VoiceEvent = VoiceStarted | VoiceConfirmed | VoiceEnded


class VoiceDetector:
    """The voice activity of one stream. Events do not depend on how the stream is cut into pieces."""

    def __init__(self, judge: Judge, config: VadConfig | None = None) -> None:
        """`judge` may be shared between streams; see `load_silero`."""
        self._judge, self._config = judge, config or VadConfig()
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._rate, self._resampler = SAMPLE_RATE_HZ, _resampler(SAMPLE_RATE_HZ)
        window_s = WINDOW / SAMPLE_RATE_HZ
        self._onset, self._end = (max(1, round(s / window_s)) for s in (self._config.onset_s, self._config.end_s))
        self._confirm = math.ceil(self._config.confirm_s / window_s)
        self._before, self._longest = round(self._config.before_s / window_s), round(self._config.longest_s / window_s)
        self._kept: deque[NDArray[np.float32]] = deque()
        self._windows = self._run = self._voiced = 0
        self.is_speaking = False

    def hear(self, sound: NDArray[np.float32], rate: int) -> list[VoiceEvent]:
        """Take in sound [S] in -1..1 of any rate and length; what became certain, in order.

        Raises:
            ShapeError: not mono floats at a possible rate.
        """
        if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating) or not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
            raise ShapeError(
                f"The user's sound is {sound.dtype} {sound.shape} at {rate} Hz; expected mono float32 [samples] at "
                f"{_RATES_HZ[0]} to {_RATES_HZ[1]} Hz."
            )
        if rate != self._rate:
            self._rate, self._resampler = rate, _resampler(rate)
        sound = sound.astype(np.float32, copy=False)
        heard = sound if self._resampler is None else self._resampler.resample_chunk(sound)
        self._rest = np.concatenate((self._rest, heard))
        events: list[VoiceEvent] = []
        while len(self._rest) >= WINDOW:
            window, self._rest = self._rest[:WINDOW], self._rest[WINDOW:]
            events += self._watch(window)
        return events

    def _watch(self, window: NDArray[np.float32]) -> list[VoiceEvent]:
        chance, self._state = self._judge(np.concatenate((self._context, window)), self._state)
        self._context = window[-_CONTEXT:]
        self._windows += 1
        self._kept.append(window)
        if not self.is_speaking:
            # A window between the thresholds neither begins speech nor ends what seems to begin.
            self._run = self._run + 1 if chance >= self._config.speech else self._run * (chance >= self._config.silence)
            if self._run < self._onset:
                self._forget(self._before + self._onset - 1)
                return []
            started = VoiceStarted(self._at_s(self._windows - self._run))
            self.is_speaking, self._run, self._voiced = True, 0, 0
            return [started, *self._count(self._onset)]
        confirmed = self._count(chance >= self._config.speech)
        self._run = self._run + 1 if chance < self._config.silence else self._run * (chance < self._config.speech)
        if self._run >= self._end:
            is_confirmed = self._voiced >= self._confirm
            ended = VoiceEnded(
                self._at_s(self._windows - self._run), np.concatenate(self._kept), is_confirmed=is_confirmed
            )
            self.is_speaking, self._run = False, 0
            self._forget(self._before)
            return [ended]
        if len(self._kept) >= self._longest:
            cut = VoiceEnded(self._at_s(self._windows), np.concatenate(self._kept), is_whole=False)
            self._kept.clear()
            return [*confirmed, cut]
        return confirmed

    def _count(self, windows: int) -> list[VoiceEvent]:
        """So many more windows of the utterance are speech; tells when they are enough."""
        before, self._voiced = self._voiced, self._voiced + windows
        return [VoiceConfirmed(self._at_s(self._windows))] if before < self._confirm <= self._voiced else []

    def _forget(self, windows: int) -> None:
        while len(self._kept) > windows:
            self._kept.popleft()

    def _at_s(self, windows: int) -> float:
        return windows * WINDOW / SAMPLE_RATE_HZ


def load_silero() -> Judge:
    """Silero's network; it holds no stream, so all sessions share one.

    Raises:
        ConfigError: the packages are not installed.
    """
    spec = importlib.util.find_spec("silero_vad")
    try:
        import onnxruntime
    except ImportError:
        spec = None
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [file for folder in folders if (file := Path(folder) / "data" / "silero_vad.onnx").is_file()]
    if not files:
        raise ConfigError(
            "hearing when the user speaks needs silero-vad and onnxruntime, which are not installed; "
            "install them with: pip install 'flowact[voice]'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    network = onnxruntime.InferenceSession(str(files[0]), options, providers=["CPUExecutionProvider"])
    rate = np.array(SAMPLE_RATE_HZ, np.int64)

    def judge(window: NDArray[np.float32], state: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        chance, after = network.run(None, {"input": window[None], "state": state, "sr": rate})
        return float(chance[0, 0]), after

    return judge


def _resampler(rate: int) -> soxr.ResampleStream | None:
    return None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
