"""Speech to lips and sound, interruption to silence and rest, with the real model in the real page."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.live_page.host import LivePage
from bench.live_page.mouth import read_mouth
from bench.live_page.notes import Notes
from bench.live_page.sync import speak
from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.evaluate.judges import Judges
from flowact.media.audio import load_audio

TEXT = "Apples and oranges are always on our table, and everybody is allowed to eat as many of them as they want."
"""Begins with an open mouth."""
HEARD = 0.01
"""A sample louder than this, 34 dB below the peak of the voice, is sound."""
_VOICE = Path(__file__).resolve().parents[2] / "samples" / "voice.wav"
_VOICE_FROM_S = 1.04
"""Here a word begins with an open mouth."""
_SETTLE_S = 2.0
_REST_S = (0.5, 1.5)
_BEFORE_S = 1.2
_SPEAK_S = (0.8, 2.2)
_AFTER_S = 1.5


@dataclass(frozen=True)
class Trial:
    """Speech that was begun and broken off.

    Attributes:
        is_pushed: whether the sound was given; else the words were, and the server made the sound.
        is_clicked: whether the page's button broke it off; else an event did, like that of a program.
        sent_ms: when the page sent the event that begins it.
        stopped_ms: when the button was clicked, or the event was sent.
        notes: from before the one to long after the other.
        kept: the pictures of the same time, as `LivePage.take_kept` gives them.
    """

    is_pushed: bool
    is_clicked: bool
    sent_ms: float
    stopped_ms: float
    notes: Notes
    kept: list[tuple[float, str]]


def run_trials(page: LivePage, seconds: float, seed: int = 0) -> list[Trial]:
    """One session; again and again rest, speak and be interrupted, at random moments; at least four trials."""
    chance, trials = np.random.default_rng(seed), list[Trial]()
    voice = load_audio(_VOICE)[round(_VOICE_FROM_S * SAMPLE_RATE_HZ) :]
    page.start()
    page.wait(_SETTLE_S)
    end_s = time.monotonic() + seconds
    while len(trials) < 4 or time.monotonic() < end_s:
        words, clicks = len(trials) % 2 == 1, len(trials) % 4 < 2
        trials.append(_run_trial(page, None if words else voice, clicks, chance))
    page.end()
    return trials


def _run_trial(page: LivePage, voice: NDArray[np.float32] | None, clicks: bool, chance: np.random.Generator) -> Trial:
    page.wait(float(chance.uniform(*_REST_S)))
    page.take()
    page.keep_pictures(True)
    page.wait(_BEFORE_S)
    sent_ms = page.send({"type": "speech.say", "text": TEXT}) if voice is None else speak(page, voice)
    page.wait_for_event("speech.started")
    page.wait(float(chance.uniform(*_SPEAK_S)))
    stopped_ms = page.press("interrupt") if clicks else page.send({"type": "response.cancel"})
    page.wait(_AFTER_S)
    page.keep_pictures(False)
    return Trial(voice is not None, clicks, sent_ms, stopped_ms, Notes.read([page.take()]), page.take_kept())


def judge_trials(trials: list[Trial], judges: Judges) -> dict[str, list[float | None]]:
    """What the trials took, in seconds; None where nothing was found, such as a pause of the voice when interrupted.

    - `push_to_sound`, `say_to_sound`: from the event to the first sound.
    - `push_to_lips`, `say_to_lips`: from the event to the first picture whose mouth speaks; `..._by_change` likewise,
      from the change of the mouth region alone. See `bench.live_page.mouth` for both.
    - `click_to_silence`: from the click on the page's button to the last sound; the page hushes the speech itself.
    - `interrupt_to_silence`: the same from the event, as a program sends it; the server alone ends the speech.
    - `interrupt_to_rest`: from either to the first picture whose mouth rests.
    """
    times: dict[str, list[float | None]] = defaultdict(list)
    for trial in trials:
        mouth, kind = read_mouth(judges, trial.kept), "push" if trial.is_pushed else "say"
        stop = "click" if trial.is_clicked else "interrupt"
        heard, sent_ms, stopped_ms = trial.notes.heard, trial.sent_ms, trial.stopped_ms
        for name, from_ms, at_ms in (
            (f"{kind}_to_sound", sent_ms, heard.first_loud(sent_ms, HEARD)),
            (f"{kind}_to_lips", sent_ms, _before(mouth.speaks_from(sent_ms), stopped_ms)),
            (f"{kind}_to_lips_by_change", sent_ms, _before(mouth.changes_from(sent_ms), stopped_ms)),
            (f"{stop}_to_silence", stopped_ms, heard.last_loud(stopped_ms, HEARD)),
            ("interrupt_to_rest", stopped_ms, mouth.rests_from(stopped_ms, sent_ms)),
        ):
            times[name].append(None if at_ms is None else (at_ms - from_ms) / 1000)
    return dict(times)


def _before(at_ms: float | None, limit_ms: float) -> float | None:
    return at_ms if at_ms is not None and at_ms < limit_ms else None
