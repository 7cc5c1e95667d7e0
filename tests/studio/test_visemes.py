import numpy as np

from flowact.core.clock import FPS
from flowact.studio.performance import VISEMES, Phone
from flowact.studio.visemes import LIP_LEAD_S, accents, jaw_track, viseme_track

LOUD = np.ones(400, np.float32)


def _phones(*items):
    at, out = 0.0, []
    for label, length in items:
        out.append(Phone(label, at, at + length))
        at += length
    return out


def _at(track, time_s, shape):
    return float(track[round((time_s - LIP_LEAD_S) * FPS - 0.5), VISEMES.index(shape)])


def test_short_closures_close_wherever_they_fall_on_the_frame_grid():
    for lead in np.arange(0.3, 0.34, 0.005):
        phones = _phones(("pau", lead), ("aa", 0.2), ("b", 0.03), ("aa", 0.2), ("m", 0.05), ("iy", 0.15), ("pau", 0.4))
        track = viseme_track(phones, LOUD, 34)
        for closure in (phones[2], phones[4]):
            frames = np.abs((np.arange(34) + 0.5) / FPS + LIP_LEAD_S - (closure.start_s + closure.end_s) / 2) < 0.03
            closed = track[frames, VISEMES.index("PP")].max()
            assert closed > 0.95
        assert jaw_track(track, 0.3)[track[:, 1] > 0.99].max() < 0.01


def test_vowels_open_and_silence_closes():
    phones = _phones(("pau", 0.5), ("aa", 0.25), ("pau", 0.5))
    track = viseme_track(phones, LOUD, 31)
    assert _at(track, 0.63, "aa") > 0.85
    assert _at(track, 0.2, "sil") > 0.95
    assert _at(track, 1.1, "sil") > 0.95


def test_lips_lead_the_sound_but_little():
    phones = _phones(("pau", 0.6), ("aa", 0.4), ("pau", 0.6))
    opening = viseme_track(phones, LOUD, 40)[:, VISEMES.index("aa")]
    onset_s = (np.flatnonzero(opening > 0.5 * opening.max())[0] + 0.5) / FPS
    assert 0.5 <= onset_s <= 0.62


def test_rounding_starts_in_the_consonant_before():
    rounded = viseme_track(_phones(("pau", 0.3), ("s", 0.12), ("uw", 0.2), ("pau", 0.3)), LOUD, 23)
    spread = viseme_track(_phones(("pau", 0.3), ("s", 0.12), ("iy", 0.2), ("pau", 0.3)), LOUD, 23)
    assert _at(rounded, 0.38, "U") > 1.5 * _at(spread, 0.38, "I")


def test_weights_are_weights():
    rng = np.random.default_rng(0)
    labels = ["p", "aa", "t", "iy", "s", "ow", "m", "w", "er", "pau", "f", "ay", "zz"]
    phones = _phones(*((str(rng.choice(labels)), float(rng.uniform(0.03, 0.2))) for _ in range(40)))
    track = viseme_track(phones, LOUD, 100, style=1.3)
    assert track.min() >= 0.0
    assert track.sum(axis=1).max() < 1.001
    assert track.sum(axis=1).min() > 0.999


def test_accents_are_loud_vowels_apart_from_each_other():
    phones = _phones(("aa", 0.2), ("t", 0.1), ("ax", 0.05), ("t", 0.1), ("iy", 0.2), ("pau", 0.2))
    times = [at for at, _ in accents(phones, LOUD)]
    assert times == [0.1, 0.55]
    assert accents([Phone("pau", 0.0, 1.0)], LOUD) == []
