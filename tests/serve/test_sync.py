"""Picture and sound as a browser gets them, from a stand-in that flashes where it beeps, and how that is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
from bench.live_page.host import CHROMIUM
from bench.live_page.mouth import Mouth
from bench.live_page.notes import Notes
from bench.live_page.stand_in import FlashAvatar
from bench.live_page.sync import BEEP_TICKS, Sync, beeping_voice, match, measure_sync

SECONDS = 8.0
FAR_MS = 200.0
MOST_MISSED = 0.1


def noted(offset_ms: float = 0.0, hop_ms: float = 1.0, missed: int | None = None, playout_ms: float = 0.0) -> Notes:
    """What the probe would note of a flash and a beep of three ticks every two seconds, the beep `offset_ms` late."""
    pictures = [
        [40.0 * i, 40.0 * i, i, 3600 * i, 255.0 if 25 <= i % 50 < 28 else 30.0] for i in range(200) if i != missed
    ]
    times = np.arange(800) * 10.0
    loud = [[16000 if 1000 <= (at + j - offset_ms) % 2000 < 1120 else 0 for j in range(10)] for at in times]
    sounds = [(at, at + hop_ms, peaks) for at, peaks in zip(times.tolist(), loud)]
    card = {"type": "media-playout", "totalPlayoutDelay": playout_ms * 48, "totalSamplesCount": 48000}
    take: dict[str, Any] = {"pictures": pictures, "sounds": sounds, "stats": [card], "steps": {}, "events": []}
    return Notes.read([take])


@pytest.mark.parametrize("offset_ms", [-70.0, 0.0, 33.0])
def test_beeps_are_compared_with_their_flashes(offset_ms: float) -> None:
    assert match(noted(offset_ms), sent=4) == Sync([offset_ms] * 4, sent=4, heard=4, seen=4, missed=0.0, playout_ms=0.0)


def test_the_delay_of_the_sound_card_is_added() -> None:
    assert match(noted(playout_ms=30.0), sent=4).offsets_ms == pytest.approx([30.0] * 4)


def test_a_flash_whose_first_picture_was_missed_is_seen_but_not_measured() -> None:
    sync = match(noted(missed=25), sent=4)
    assert sync.seen == 4
    assert sync.missed == pytest.approx(1 / 200)
    assert sync.offsets_ms == [0.0] * 3


def test_sound_on_another_clock_is_refused() -> None:
    with pytest.raises(RuntimeError, match="another clock"):
        noted(hop_ms=-5.0)


def test_sound_that_was_pulled_in_one_go_is_played_one_after_the_other() -> None:
    sounds = [(100.0, 101.0, [9] * 10), (100.0, 101.0, [9] * 10), (125.0, 126.0, [9] * 10)]
    heard = Notes.read([{"pictures": [], "sounds": sounds, "stats": [], "steps": {}, "events": []}]).heard
    assert heard.at_ms[::10].tolist() == [100.0, 110.0, 125.0]


def test_the_stand_in_flashes_in_the_ticks_that_beep() -> None:
    voice, beeps = beeping_voice(4.8, seed=0)
    avatar = FlashAvatar(16)
    session = avatar.open(np.full((16, 16, 3), 100, np.uint8))
    session.hear(np.concatenate([voice, np.zeros(640 * 64, np.float32)]))
    chunks = [session.generate(session.condition(""), lambda: False, avatar.guidance) for _ in range(12)]
    frames = np.concatenate([f for chunk in chunks if chunk is not None for f, _ in session.decode_stepwise(chunk, 1)])
    is_white = frames.reshape(len(frames), -1).min(axis=1) == 255
    assert is_white.sum() == BEEP_TICKS * beeps > 0
    assert is_white.tolist() == (np.abs(voice.reshape(-1, 640)).max(axis=1) > 0).tolist()


def test_a_mouth_speaks_and_rests() -> None:
    at_ms = 40.0 * np.arange(100)
    opening = np.full(100, 0.01)
    opening[40] = 0.3  # one picture alone is no speech
    opening[[50, 51, 52, 55, 56, 70]] = 0.3
    change = np.where(np.isin(np.arange(100), [50, 53, 55, 57]), 6.0, 1.0)
    mouth = Mouth(at_ms, opening, change)
    assert mouth.speaks_from(1200.0) == 2000.0
    assert mouth.changes_from(1200.0) == 2000.0
    assert mouth.rests_from(2080.0, 1200.0) == 57 * 40.0  # the gap at 53 is shorter than 0.3 s
    assert mouth.rests_from(3000.0, 1200.0) is None
    assert Mouth(at_ms, np.zeros(100), np.zeros(100)).speaks_from(1200.0) is None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")
def test_every_beep_has_its_flash_in_a_real_browser() -> None:
    sync = measure_sync(SECONDS)
    if sync.missed > MOST_MISSED:
        pytest.skip(f"this machine is too busy: its browser missed {sync.missed:.0%} of the pictures")
    assert sync.sent >= 3
    assert sync.heard == sync.seen == sync.sent
    assert abs(np.median(sync.offsets_ms)) < FAR_MS
