"""Picture against sound: a stand-in whose pictures flash exactly in the ticks that beep."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.live_page.host import STAND_IN, LivePage, browse, serve
from bench.live_page.notes import Float, Notes
from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

BEEP_TICKS = 3
BEEP_LEVEL = 0.5
GAP_TICKS = (30, 50)
"""From one beep to the next, at random: far more than any offset that could be mistaken."""
_LOUD = 0.1
_BRIGHT = 150.0
_QUIET_MS = 200
_NEAR_MS = 550.0
_LEAD_S = 0.5
_TAIL_S = 2.0
_PIECE_S = 10
_TONE_HZ = 1000


@dataclass(frozen=True)
class Sync:
    """How picture and sound met.

    Attributes:
        offsets_ms: heard minus seen, in order; positive: the sound is late. Flashes whose first picture the probe may
            have missed, and those without a beep nearby, are left out.
        sent: beeps that were sent.
        heard: beeps that were heard.
        seen: flashes that were seen.
        missed: share of the pictures that the probe missed.
        playout_ms: the delay of the sound card that is in the offsets.
    """

    offsets_ms: list[float]
    sent: int
    heard: int
    seen: int
    missed: float
    playout_ms: float


def measure_sync(seconds: float, seed: int = 0) -> Sync:
    """Push beeps through the stand-in, the real server and the page for about so long."""
    voice, sent = beeping_voice(seconds, seed)
    with serve(STAND_IN) as url, browse(url) as page:
        page.start()
        page.wait(_LEAD_S)
        speak(page, voice)
        page.wait(len(voice) / SAMPLE_RATE_HZ)
        page.wait_for_event("speech.done")
        page.wait(_TAIL_S)
        notes = Notes.read([page.take()])
        page.end()
    return match(notes, sent)


def beeping_voice(seconds: float, seed: int) -> tuple[NDArray[np.float32], int]:
    """A voice that beeps in whole ticks, mono [S] at 16 kHz, and how often it does."""
    chance, ticks = np.random.default_rng(seed), round(seconds * FPS)
    voice = np.zeros((ticks, SAMPLES_PER_FRAME), np.float32)
    time_s = np.arange(BEEP_TICKS * SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ
    beep = (BEEP_LEVEL * np.sin(2 * np.pi * _TONE_HZ * time_s)).reshape(BEEP_TICKS, -1)
    at, beeps = GAP_TICKS[0], 0
    while at + BEEP_TICKS < ticks:
        voice[at : at + BEEP_TICKS] = beep
        at, beeps = at + int(chance.integers(*GAP_TICKS)), beeps + 1
    return voice.ravel(), beeps


def speak(page: LivePage, voice: NDArray[np.float32]) -> float:
    """Give the avatar a voice, mono [S] at 16 kHz, all at once; returns when its first piece was sent."""
    begin_ms = None
    for start in range(0, len(voice), _PIECE_S * SAMPLE_RATE_HZ):
        piece = voice[start : start + _PIECE_S * SAMPLE_RATE_HZ]
        audio = base64.b64encode((piece * 32767).astype("<i2").tobytes()).decode()
        sent_ms = page.send({"type": "input_audio.append", "audio": audio})
        begin_ms = sent_ms if begin_ms is None else begin_ms
    page.send({"type": "input_audio.commit"})
    assert begin_ms is not None, "the voice is empty"
    return begin_ms


def match(notes: Notes, sent: int) -> Sync:
    """Compare every flash with the beep that is nearest to it."""
    flashes, is_exact = notes.shown.onsets(_BRIGHT)
    beeps = notes.heard.onsets(_LOUD, _QUIET_MS)
    offsets = [_nearest(beeps, flash) - flash for flash in flashes[is_exact]] if len(beeps) else []
    near = [float(offset) for offset in offsets if abs(offset) < _NEAR_MS]
    return Sync(near, sent, len(beeps), len(flashes), notes.shown.missed, notes.heard.playout_ms)


def _nearest(times: Float, time: float) -> float:
    return float(times[np.argmin(np.abs(times - time))])
